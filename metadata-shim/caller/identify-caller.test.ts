import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as fc from "fast-check";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock, type MovedClock } from "../../test/fakes/moved-clock.ts";
import {
  createNodeWorld,
  METADATA,
  NODE,
  type NodeWorld,
  type PodConnection,
  type RunningPod,
} from "../../test/fakes/node-world.ts";
import { until } from "../../test/fakes/until.ts";
import type { Attestor } from "./attestor.ts";
import type { CallerDecision, IdentifyCaller } from "./caller.ts";
import { createIdentifyCaller } from "./identify-caller.ts";
import { podKeeper, type KnownPod } from "./known-pod.ts";
import { LivePods } from "./live-pods.ts";
import { followNodePods, type NodePods } from "./node-pods.ts";

const WAIT_MS = 400;

interface Shim {
  readonly world: NodeWorld;
  readonly clock: MovedClock;
  readonly pods: NodePods;
  readonly identify: IdentifyCaller;
  readonly foreign: readonly KnownPod[];
  readonly gone: readonly string[];
}

function startShim(
  stack: AsyncDisposableStack,
  {
    world = createNodeWorld(),
    clock = createMovedClock(),
    attests = true,
    waitMs = WAIT_MS,
  }: {
    readonly world?: NodeWorld;
    readonly clock?: MovedClock;
    readonly attests?: boolean;
    readonly waitMs?: number;
  } = {},
): Shim {
  const { connection } = world.api;
  const { log } = createCollectedLog();
  const keep = podKeeper({ nodeName: NODE, keys: [] });
  const gone: string[] = [];
  const foreign: KnownPod[] = [];
  const pods = stack.use(
    followNodePods({
      connection,
      nodeName: NODE,
      keep,
      clock,
      random: () => 0.5,
      log,
      onGone: (uid) => gone.push(uid),
    }),
  );
  const identify = createIdentifyCaller({
    pods,
    livePods: new LivePods({ connection, nodeName: NODE, keep, timeoutMs: 5000 }),
    attestor: attests ? world.attestor : undefined,
    endpoints: [METADATA],
    waitMs,
    httpTokensOf: async (namespace) => (namespace === "team" ? "required" : undefined),
    clock,
    onForeign: (shownPod) => foreign.push(shownPod),
  });
  return { world, clock, pods, identify, foreign, gone };
}

function pod(uid: string, ...addresses: readonly string[]): RunningPod {
  return { uid, name: `pod-${uid}`, addresses, isVirtual: false };
}

/** Starts a pod that the API server and its watches know of at once. */
function startKnown(world: NodeWorld, running: RunningPod): void {
  world.start(running);
  world.report(running.uid);
  world.api.deliver();
}

const shown = (decision: CallerDecision): string =>
  decision.status === "known" ? decision.caller.podUid : decision.status;

function ask({ identify, world }: Shim, from: RunningPod, address = from.addresses[0] ?? "") {
  return identify(address, world.connect(from, address));
}

function stackOf(t: TestContext): AsyncDisposableStack {
  const stack = new AsyncDisposableStack();
  t.after(() => stack.disposeAsync());
  return stack;
}

async function startListedShim(t: TestContext, attests: boolean): Promise<Shim> {
  const shim = startShim(stackOf(t), { attests });
  await shim.pods.whenSynced;
  return shim;
}

describe("identify", () => {
  for (const attests of [true, false]) {
    describe(attests ? "with the kernel's word" : "by live reads", () => {
      it("knows a pod, by either of its addresses in any spelling", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = pod("a", "10.1.0.2", "fd00::2");
        startKnown(shim.world, a);
        assert.deepEqual(await ask(shim, a), {
          status: "known",
          caller: {
            podUid: "a",
            podName: "pod-a",
            namespace: "team",
            serviceAccount: "sa-a",
            address: "10.1.0.2",
            podAnnotations: {},
            httpTokens: "required",
          },
        });
        assert.equal(shown(await ask(shim, a, "fd00::2")), "a");
        const mapped = shim.identify("::ffff:10.1.0.2", shim.world.connect(a, "10.1.0.2"));
        assert.equal(shown(await mapped), "a");
      });

      it("waits for a pod whose event is on its way, without asking again and again", async (t) => {
        const shim = await startListedShim(t, attests);
        const lists = shim.world.api.lists.length;
        const a = pod("a", "10.1.0.2");
        shim.world.start(a);
        const asked = ask(shim, a);
        await nextTurn();
        shim.world.report("a");
        await nextTurn();
        shim.clock.advance(300);
        shim.world.api.deliver();
        assert.equal(shown(await asked), "a");
        // One look-up, since nobody had the address; one proof where the kernel is not asked.
        assert.ok(shim.world.api.lists.length - lists <= (attests ? 1 : 2));
        assert.equal(shim.clock.sleepers().includes(100), false);
      });

      it("gives up on an address that nobody has when the time is up, not before", async (t) => {
        const shim = await startListedShim(t, attests);
        let decision: CallerDecision | undefined;
        const connection = { remotePort: 1, localAddress: "10.1.0.1", localPort: 8181 };
        const asked = Promise.resolve(shim.identify("10.1.0.9", connection)).then(
          (got) => (decision = got),
        );
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS - 1);
        await nextTurn();
        assert.equal(decision, undefined);
        shim.clock.advance(1);
        assert.deepEqual(await asked, { status: "unknown" });
      });

      it("lists the pods at most once in 5 seconds for addresses that nobody has", async (t) => {
        const shim = await startListedShim(t, attests);
        const before = shim.world.api.lists.length;
        for (let i = 0; i < 20; i += 1) {
          const connection = { remotePort: i, localAddress: "10.1.0.1", localPort: 8181 };
          const asked = shim.identify(`10.1.0.${i + 20}`, connection);
          await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
          shim.clock.advance(WAIT_MS);
          assert.equal(shown(await asked), "unknown");
        }
        // 20 times 400 ms are 8 seconds.
        assert.equal(shim.world.api.lists.length - before, 2);
      });

      it("knows a pod that only the API server knows of, while the watch is silent", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = pod("a", "10.1.0.2");
        shim.world.start(a);
        shim.world.report("a");
        assert.equal(shown(await ask(shim, a)), "a");
      });

      it("asks for no proof twice on one connection within a second", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = pod("a", "10.1.0.2");
        startKnown(shim.world, a);
        const connection = shim.world.connect(a, "10.1.0.2");
        await shim.identify("10.1.0.2", connection);
        shim.world.api.setReachable(false);
        shim.world.stop("a");
        assert.equal(shown(await shim.identify("10.1.0.2", connection)), "a");
        shim.clock.advance(1001);
        const later = shim.identify("10.1.0.2", connection);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.notEqual(shown(await later), "a");
      });

      it("takes no proof for younger when the clock is set back", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = pod("a", "10.1.0.2");
        startKnown(shim.world, a);
        const connection = shim.world.connect(a, "10.1.0.2");
        await shim.identify("10.1.0.2", connection);
        shim.clock.advance(-3_600_000);
        shim.world.stop("a");
        shim.world.report("a");
        const later = shim.identify("10.1.0.2", connection);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.equal(shown(await later), "unknown");
      });

      it("refuses two pods at one address, and knows the one that is left", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = pod("a", "10.1.0.2");
        startKnown(shim.world, a);
        shim.world.stop("a");
        const b = pod("b", "10.1.0.2");
        startKnown(shim.world, b);
        const refused = ask(shim, b);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.deepEqual(await refused, {
          status: "ambiguous",
          podNames: ["team/pod-a", "team/pod-b"],
        });
        const asked = ask(shim, b);
        await nextTurn();
        shim.world.report("a", "finished");
        shim.world.api.deliver();
        assert.equal(shown(await asked), "b");
      });

      it("gives the address of a pod that is gone to the next one at once", async (t) => {
        const shim = await startListedShim(t, attests);
        const a = pod("a", "10.1.0.2");
        const b = pod("b", "10.1.0.2");
        startKnown(shim.world, a);
        assert.equal(shown(await ask(shim, a)), "a");
        shim.world.stop("a");
        shim.world.report("a");
        shim.world.start(b);
        shim.world.report("b");
        // The watch has told nothing of all that.
        const asked = ask(shim, b);
        await nextTurn();
        shim.world.api.deliver();
        assert.equal(shown(await asked), "b");
        await until("the end of the first is told", () => shim.gone.includes("a"));
      });

      it("says that nobody can say, as long as no list has come", async (t) => {
        const world = createNodeWorld();
        world.api.setReachable(false);
        const shim = startShim(stackOf(t), { attests, world });
        const a = pod("a", "10.1.0.2");
        world.start(a);
        world.report("a");
        const asked = ask(shim, a);
        await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
        shim.clock.advance(WAIT_MS);
        assert.deepEqual(await asked, {
          status: "unavailable",
          reason: "the pods of this node are not listed yet",
        });
      });

      it("knows no loopback address, and no text that is none", async (t) => {
        const shim = await startListedShim(t, attests);
        const connection = { remotePort: 1, localAddress: "127.0.0.1", localPort: 8181 };
        for (const address of ["127.0.0.1", "::1", "::ffff:127.0.0.1", "", "localhost"]) {
          assert.equal(shown(await shim.identify(address, connection)), "unknown");
        }
      });
    });
  }

  it("proves a connection anew after ten seconds; until then a look at the pod is enough", async (t) => {
    const stack = stackOf(t);
    const world = createNodeWorld();
    let proven = 0;
    const attestor: Attestor = {
      attest: (podUid, flow) => {
        proven += 1;
        return world.attestor.attest(podUid, flow);
      },
      isThere: (podUid) => world.attestor.isThere(podUid),
    };
    const shim = startShim(stack, { world: { ...world, attestor } });
    await shim.pods.whenSynced;
    const a = pod("a", "10.1.0.2");
    startKnown(world, a);
    const connection = world.connect(a, "10.1.0.2");
    const seen: number[] = [];
    for (let second = 0; second <= 12; second += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
      assert.equal(shown(await shim.identify("10.1.0.2", connection)), "a");
      seen.push(proven);
      shim.clock.advance(1001);
    }
    assert.deepEqual(seen, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]);
  });

  it("knows pods by the kernel's word while the API server is away", async (t) => {
    const shim = startShim(stackOf(t));
    await shim.pods.whenSynced;
    const a = pod("a", "10.1.0.2");
    startKnown(shim.world, a);
    await until("it is told", () => shim.pods.size === 1);
    shim.world.api.setReachable(false);
    shim.clock.advance(3_600_000);
    assert.equal(shown(await ask(shim, a)), "a");
  });

  it("says without the kernel's word that nobody can say while the API server is away", async (t) => {
    const shim = startShim(stackOf(t), { attests: false });
    await shim.pods.whenSynced;
    const a = pod("a", "10.1.0.2");
    startKnown(shim.world, a);
    await until("it is told", () => shim.pods.size === 1);
    shim.world.api.setReachable(false);
    const asked = ask(shim, a);
    await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
    shim.clock.advance(WAIT_MS);
    assert.equal(shown(await asked), "unavailable");
  });

  it("knows no pod that shows the address of another, and tells of it", async (t) => {
    const shim = startShim(stackOf(t));
    await shim.pods.whenSynced;
    const victim = pod("a", "10.1.0.2");
    const thief = pod("b", "10.1.0.3");
    startKnown(shim.world, victim);
    startKnown(shim.world, thief);
    await until("both are told", () => shim.pods.size === 2);
    const asked = ask(shim, thief, "10.1.0.2");
    await until("it waits", () => shim.clock.sleepers().includes(WAIT_MS));
    shim.clock.advance(WAIT_MS);
    assert.equal(shown(await asked), "unknown");
    assert.deepEqual([...new Set(shim.foreign.map(({ uid }) => uid))], ["a"]);
    // Its own address is its own still.
    assert.equal(shown(await ask(shim, thief)), "b");
  });

  it("knows a pod in a virtual machine by a live read", async (t) => {
    const shim = startShim(stackOf(t));
    await shim.pods.whenSynced;
    const a = { ...pod("a", "10.1.0.2"), isVirtual: true };
    startKnown(shim.world, a);
    assert.equal(shown(await ask(shim, a)), "a");
  });

  it("reads live by the primary address, and all pods of the node for another", async (t) => {
    const shim = startShim(stackOf(t), { attests: false });
    await shim.pods.whenSynced;
    const a = pod("a", "10.1.0.2", "fd00::2");
    startKnown(shim.world, a);
    await until("it is told", () => shim.pods.size === 1);
    const { lists } = shim.world.api;
    await ask(shim, a);
    assert.equal(lists.at(-1), "spec.nodeName=node-a&status.podIP=10.1.0.2");
    await ask(shim, a, "fd00::2");
    assert.equal(lists.at(-1), "spec.nodeName=node-a");
  });
});

/** One thing that happens on a node. */
type Step =
  | { readonly do: "start"; readonly address: number; readonly isReported: boolean }
  | { readonly do: "stop" | "report-end" | "report"; readonly pod: number }
  | { readonly do: "ask"; readonly pod: number; readonly isKept: boolean }
  | { readonly do: "steal"; readonly pod: number; readonly address: number }
  | { readonly do: "deliver"; readonly changes: number }
  | { readonly do: "advance" | "jump"; readonly ms: number }
  | { readonly do: "cut" | "away" | "back" | "restart" };

const ADDRESSES = ["10.1.0.2", "10.1.0.3", "10.1.0.4"];
const nth = fc.nat({ max: 5 });
const place = fc.nat({ max: ADDRESSES.length - 1 });
const step = (isSteal: boolean): fc.Arbitrary<Step> =>
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("start" as const),
        address: place,
        isReported: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constantFrom("stop" as const, "report" as const, "report-end" as const),
        pod: nth,
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant("ask" as const), pod: nth, isKept: fc.boolean() }),
    },
    ...(isSteal
      ? [
          {
            weight: 2,
            arbitrary: fc.record({ do: fc.constant("steal" as const), pod: nth, address: place }),
          },
        ]
      : []),
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("deliver" as const), changes: fc.nat({ max: 3 }) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("advance" as const),
        ms: fc.constantFrom(1, 399, 400, 1001, 6000, 40_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant("jump" as const),
        ms: fc.constantFrom(-3_600_000, -1000, 1000, 3_600_000),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constantFrom("cut" as const, "away" as const, "back" as const, "restart" as const),
      }),
    },
  );

interface Answer {
  /** UID of the pod that really asked. */
  readonly pod: string;
  readonly decision: CallerDecision;
}

/**
 * Plays a history and returns what was answered to pods that were still there: the connection of one
 * that is not has nobody at its other end.
 *
 * @param reportsFirst Whether an address is only freed once the API server knows of the end.
 */
async function play(
  steps: readonly Step[],
  { attests, reportsFirst }: { readonly attests: boolean; readonly reportsFirst: boolean },
): Promise<readonly Answer[]> {
  await using stack = new AsyncDisposableStack();
  const world = createNodeWorld();
  const timers = createMovedClock();
  let jumpedMs = 0;
  // Whoever sets the clock of a machine does not touch its timers.
  const clock = { ...timers, now: () => timers.now() + jumpedMs };
  const waitMs = 2000;
  let shim = startShim(stack, { world, clock, attests, waitMs });
  await shim.pods.whenSynced;
  const answers: Promise<Answer & { readonly isThere: boolean }>[] = [];
  const ended: string[] = [];
  const kept = new Map<string, PodConnection>();
  let count = 0;

  const askAs = (from: RunningPod, address: string, isKept: boolean): void => {
    const key = `${from.uid}/${address}`;
    const connection = (isKept ? kept.get(key) : undefined) ?? world.connect(from, address);
    kept.set(key, connection);
    const { identify } = shim;
    answers.push(
      Promise.resolve(identify(address, connection)).then((decision) => ({
        pod: from.uid,
        decision,
        isThere: world.running.includes(from),
      })),
    );
  };
  const isFree = (address: string): boolean =>
    world.running.every(({ addresses }) => !addresses.includes(address));

  for (const now of steps) {
    const { running } = world;
    const chosen = "pod" in now ? running[now.pod % Math.max(1, running.length)] : undefined;
    if (now.do === "start") {
      const address = ADDRESSES[now.address] ?? "";
      if (isFree(address)) {
        count += 1;
        world.start(pod(String(count), address));
        if (now.isReported) world.report(String(count));
      }
    } else if (now.do === "stop" && chosen !== undefined) {
      world.stop(chosen.uid);
      if (reportsFirst) world.report(chosen.uid, count % 2 === 0 ? "finished" : "removed");
      else ended.push(chosen.uid);
    } else if (now.do === "report" && chosen !== undefined) world.report(chosen.uid);
    else if (now.do === "report-end") {
      const uid = ended.splice(now.pod % Math.max(1, ended.length), 1)[0];
      if (uid !== undefined) world.report(uid, now.pod % 2 === 0 ? "finished" : "removed");
    } else if (now.do === "ask" && chosen !== undefined) {
      askAs(chosen, chosen.addresses[0] ?? "", now.isKept);
    } else if (now.do === "steal" && chosen !== undefined) {
      askAs(chosen, ADDRESSES[now.address] ?? "", false);
    } else if (now.do === "deliver") world.api.deliver(now.changes);
    else if (now.do === "advance") clock.advance(now.ms);
    else if (now.do === "jump") jumpedMs += now.ms;
    else if (now.do === "cut") world.api.cut();
    else if (now.do === "away" || now.do === "back") world.api.setReachable(now.do === "back");
    else if (now.do === "restart") {
      await shim.pods[Symbol.asyncDispose]();
      kept.clear();
      shim = startShim(stack, { world, clock, attests, waitMs });
    }
    await nextTurn();
  }
  let open = answers.length;
  for (const answer of answers) void answer.then(() => (open -= 1));
  await until("all are answered", () => {
    clock.advance(100);
    return open === 0;
  });
  return (await Promise.all(answers)).filter(({ isThere }) => isThere);
}

function assertNobodyElse(answers: readonly Answer[]): number {
  for (const { pod: asked, decision } of answers) {
    if (decision.status === "known") assert.equal(decision.caller.podUid, asked);
  }
  return answers.filter(({ decision }) => decision.status === "known").length;
}

describe("whatever happens on the node", () => {
  const runs = { numRuns: 300 };

  it("the kernel's word lets no pod be taken for another, also when addresses are stolen", async () => {
    let known = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step(true), { minLength: 20, maxLength: 60 }), async (steps) => {
        known += assertNobodyElse(await play(steps, { attests: true, reportsFirst: false }));
      }),
      runs,
    );
    assert.ok(known > runs.numRuns, `${known} were known`);
  });

  it("live reads let no pod be taken for another, if kubelet tells of an end before it frees the address", async () => {
    let known = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step(false), { minLength: 20, maxLength: 60 }), async (steps) => {
        known += assertNobodyElse(await play(steps, { attests: false, reportsFirst: true }));
      }),
      runs,
    );
    assert.ok(known > runs.numRuns, `${known} were known`);
  });
});
