import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as fc from "fast-check";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { startListServer, type Fault, type ListServer } from "../../test/fakes/list-server.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { connect } from "./connection.ts";
import { startListWatch, type ListWatch } from "./list-watch.ts";

/** Something that happens to the server, or to the way to it. */
type Step = (world: World) => void | Promise<void>;

type NamedStep = readonly [name: string, step: Step];

interface World {
  readonly server: ListServer;
  /** Whether a watch may wait for news that will never come. */
  muted: boolean;
  /** Gives an object a version that it never had, or one that `keep` throws on or holds nothing of. */
  write(name: string, how: "role" | "throws" | "none"): void;
}

const SILENCE_MS = 180_000;
const names = ["a", "b", "c", "d", "e"] as const;

const faults: fc.Arbitrary<Fault> = fc.constantFrom<Fault[]>(
  { kind: "status", status: 500 },
  { kind: "status", status: 403 },
  { kind: "status", status: 410 },
  { kind: "status", status: 429, headers: { "retry-after": "7" } },
  { kind: "close" },
  { kind: "cut" },
  { kind: "empty" },
  { kind: "compact" },
  { kind: "garbage", text: "<html>" },
  { kind: "garbage", text: '{"type":"ADDED","object":{"metadata":{"name":"a"}}}' },
  { kind: "garbage", text: '{"type":"ERROR","object":{"code":500}}' },
  { kind: "garbage", text: '{"type":"ERROR","object":{"code":410}}' },
);

const aWatchIsOpen: Step = async ({ server }) => {
  for (let turn = 0; turn < 500 && server.watches === 0; turn += 1) await nextTurn();
};

const steps: fc.Arbitrary<NamedStep> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(fc.constantFrom(...names), fc.constantFrom("role", "role", "throws", "none"))
      .map(([name, how]): NamedStep => [
        `write ${name} ${how}`,
        (world: World) => world.write(name, how),
      ]),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(...names)
      .map((name): NamedStep => [
        `remove ${name}`,
        ({ server }: World) => server.remove("team", name),
      ]),
  },
  {
    weight: 4,
    arbitrary: fc.nat({ max: 100 }).map((turns): NamedStep => [
      `${turns} turns`,
      async () => {
        for (let i = 0; i < turns; i += 1) await nextTurn();
      },
    ]),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(fc.constantFrom("list" as const, "watch" as const), faults)
      .map(([on, fault]): NamedStep => [
        `fail ${on} ${JSON.stringify(fault)}`,
        ({ server }: World) => server.fail(on, fault),
      ]),
  },
  {
    weight: 4,
    arbitrary: fc
      .constantFrom("mid-line" as const, "reset" as const, "timeout" as const)
      .map((how): NamedStep => [`cut ${how}`, ({ server }: World) => server.cutWatches(how)]),
  },
  { weight: 3, arbitrary: fc.constant<NamedStep>(["a watch is open", aWatchIsOpen]) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<NamedStep[]>(
      ["compact", ({ server }) => server.compact()],
      ["bookmark", ({ server }) => server.bookmark()],
      [
        "mute",
        (world) => {
          world.server.mute();
          world.muted = true;
        },
      ],
      ["garbage line", ({ server }) => server.write("garbage\n")],
      ["half a line", ({ server }) => server.write('{"type":')],
      [
        "refuse by event",
        ({ server }) => {
          server.refuseBy = "event";
        },
      ],
    ),
  },
);

describe("a list-watch, whatever happens", () => {
  it("never shows what the server did not have, nor goes back in time, and converges", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.array(steps, { maxLength: 40, size: "max" }),
        async (fromTheStart, script) => {
          const first = fromTheStart ? [] : [aWatchIsOpen];
          await play([...first, ...script.map(([, step]) => step)]);
        },
      ),
      { numRuns: 100 },
    );
  });
});

async function play(script: readonly Step[]): Promise<void> {
  await using server = await startListServer();
  const clock = createMovedClock();
  const expected = new Map<string, string>();
  const history = new Observer();
  let counter = 0;
  const world: World = {
    server,
    muted: false,
    write(name, how) {
      counter += 1;
      if (how === "role") history.had(name, counter);
      server.put("team", name, how === "none" ? {} : { [how]: String(counter) });
    },
  };
  world.write("a", "role");
  world.write("b", "role");

  await using watch = startListWatch({
    connection: connect({ kubeApi: server.url }),
    path: "/api/v1/serviceaccounts",
    metadataOnly: true,
    keep: ({ metadata: { annotations = {} } }) => {
      if ("throws" in annotations) throw new Error("asked to throw");
      return annotations["role"];
    },
    clock,
    log: createCollectedLog().log,
    pageSize: 2,
    timeoutMs: 60_000,
    onEvent(event) {
      history.check(watch);
      // Nobody waits for a back-off: the clock is moved as soon as it has begun.
      if (event.type === "failed") queueMicrotask(() => clock.advance(event.retryMs));
    },
  });
  for (const step of script) {
    await step(world);
    history.check(watch);
  }
  server.clearFaults();
  for (const { metadata } of server.objects.values()) {
    const { role } = metadata.annotations;
    if (role !== undefined) expected.set(metadata.name, role);
  }
  await convergence(
    () => {
      history.check(watch);
      const content = [...watch.entries()].map(({ name, value }) => [name, value] as const);
      const same = content.length === expected.size;
      return watch.synced && same && content.every(([name, value]) => expected.get(name) === value);
    },
    // Such a watch is found out by the clock only.
    () => world.muted && clock.advance(SILENCE_MS),
  );
}

/** Knows what the server had, and checks what is shown against it each time. */
class Observer {
  readonly #had = new Map<string, Set<number>>();
  readonly #lastSeen = new Map<string, { readonly version: number; readonly there: boolean }>();

  had(name: string, version: number): void {
    const versions = this.#had.get(name) ?? new Set();
    this.#had.set(name, versions.add(version));
  }

  check(watch: ListWatch<string>): void {
    const shown = new Map([...watch.entries()].map(({ name, value }) => [name, Number(value)]));
    assert.equal(watch.size, shown.size);
    for (const [name, version] of shown) {
      assert.ok(this.#had.get(name)?.has(version), `${name} never had ${version}`);
      const last = this.#lastSeen.get(name);
      if (last?.there === true) assert.ok(version >= last.version, `${name} went back`);
      if (last?.there === false) assert.ok(version > last.version, `${name} rose from the dead`);
      this.#lastSeen.set(name, { version, there: true });
    }
    for (const [name, { version }] of this.#lastSeen) {
      if (!shown.has(name)) this.#lastSeen.set(name, { version, there: false });
    }
  }
}

/** Far more turns of the event loop than any of this takes. */
const LIMIT_TURNS = 20_000;

async function convergence(holds: () => boolean, nudge: () => void): Promise<void> {
  for (let turn = 1; !holds(); turn += 1) {
    assert.ok(turn < LIMIT_TURNS, "it never converged");
    if (turn % 500 === 0) nudge();
    await nextTurn();
  }
}
