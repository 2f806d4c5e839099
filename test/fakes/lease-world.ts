import assert from "node:assert/strict";
import { setImmediate as nextTurn } from "node:timers/promises";
import { connect } from "../../lib/kube/connection.ts";
import { LeaseObject } from "../../lib/kube/lease-object.ts";
import { startLease, type Lease } from "../../lib/kube/lease.ts";
import { createCollectedLog } from "./collected-log.ts";
import { createMovedClock, type MovedClock } from "./moved-clock.ts";
import { startObjectServer, type ObjectFault, type ObjectServer } from "./object-server.ts";
import { until } from "./until.ts";

/** Where the one Lease is that replicas want. */
export const LEASE_PATH = "/apis/coordination.k8s.io/v1/namespaces/eks/leases/webhook";

/** One replica with a clock of its own and a count of its open requests. */
export interface LeaseReplica {
  readonly lease: Lease;
  readonly clock: MovedClock;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  /** How far its wall clock is from the time that its timers measure. */
  skewMs: number;
  /** What goes wrong with its next requests; only of replicas that the world was told of. */
  fault: ObjectFault | undefined;
  /** Whether it has a request under way. */
  readonly isAsking: boolean;
  /** How many runs of its task are going on. */
  readonly working: number;
  readonly runs: number;
}

/** An API server, and replicas that want one Lease of it. */
export interface LeaseWorld extends AsyncDisposable {
  readonly server: ObjectServer;
  startReplica(identity: string, options?: { readonly startMs?: number }): LeaseReplica;
  /** Has the server treat each replica, by its identity, as its `fault` says. */
  serve(replicas: Readonly<Record<string, LeaseReplica>>): void;
  /**
   * What the Lease says.
   *
   * @throws Error when there is none.
   */
  stored(): NonNullable<LeaseObject["spec"]>;
}

/** Starts the API server, without a Lease. */
export async function startLeaseWorld(): Promise<LeaseWorld> {
  const stack = new AsyncDisposableStack();
  const server = stack.use(await startObjectServer());
  return {
    server,
    startReplica: (identity, { startMs = Date.UTC(2026, 0, 1) } = {}) =>
      startReplica({ identity, startMs, url: server.url }, stack),
    serve(replicas) {
      // Replicas are told apart by a path prefix.
      server.faultOf = ({ prefix }) => replicas[prefix]?.fault;
    },
    stored() {
      const { spec } = LeaseObject.parse(server.objects.get(LEASE_PATH));
      assert.ok(spec);
      return spec;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

function startReplica(
  {
    identity,
    startMs,
    url,
  }: { readonly identity: string; readonly startMs: number; readonly url: string },
  stack: AsyncDisposableStack,
): LeaseReplica {
  const connection = connect({ kubeApi: `${url}/${identity}` });
  const clock = createMovedClock(startMs);
  const { log, lines } = createCollectedLog();
  let asking = 0;
  let working = 0;
  let runs = 0;
  let skewMs = 0;
  const lease = stack.use(
    startLease({
      connection: {
        async request(request) {
          asking += 1;
          try {
            return await connection.request(request);
          } finally {
            asking -= 1;
          }
        },
      },
      namespace: "eks",
      name: "webhook",
      identity,
      clock: {
        now: () => clock.now() + skewMs,
        sleep: (ms, signal) => clock.sleep(ms, signal),
      },
      log,
      random: () => 0,
    }),
  );
  lease.whileHeld(async (signal) => {
    working += 1;
    runs += 1;
    await clock.sleep(Number.MAX_SAFE_INTEGER, signal);
    working -= 1;
  });
  return {
    lease,
    clock,
    lines,
    get skewMs() {
      return skewMs;
    },
    set skewMs(ms) {
      skewMs = ms;
    },
    fault: undefined,
    get isAsking() {
      return asking > 0;
    },
    get working() {
      return working;
    },
    get runs() {
      return runs;
    },
  };
}

/** Waits until nothing is under way any more; held requests stay. */
export async function settle(...replicas: readonly LeaseReplica[]): Promise<void> {
  const isBusy = ({ isAsking, fault }: LeaseReplica): boolean => isAsking && fault?.kind !== "hold";
  await until("all requests are answered", () => !replicas.some(isBusy));
  for (let turns = 0; turns < 3; turns += 1) await nextTurn();
  if (replicas.some(isBusy)) await settle(...replicas);
}

/**
 * Lets time go by for all, in steps, as it does when nothing stands still.
 *
 * @throws AssertionError when two hold the Lease at a time, or do its work.
 */
export async function pass(ms: number, ...replicas: readonly LeaseReplica[]): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 500) {
    for (const { clock } of replicas) clock.advance(500);
    await settle(...replicas);
    assert.ok(replicas.filter(({ lease }) => lease.held).length <= 1, "two holders");
    assert.ok(replicas.reduce((sum, { working }) => sum + working, 0) <= 1, "work done twice");
  }
}
