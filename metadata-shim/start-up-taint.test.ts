import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { KubeAnswer, KubeRequest } from "../lib/kube/transport.ts";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import { removeStartUpTaint } from "./start-up-taint.ts";

const KEY = "irsa-anywhere.io/shim-not-ready";
const OURS = { key: KEY, effect: "NoSchedule" };
const THEIRS = { key: "node.example.com/gpu", value: "yes", effect: "NoExecute" };

interface Operation {
  readonly value: object[];
}

interface World {
  /** Of the node, as it is stored. */
  taints: object[] | undefined;
  problem: string | undefined;
  /** Status of the next patches; 200 when there is none left. */
  readonly refusals: number[];
  readonly requests: KubeRequest[];
  readonly clock: ReturnType<typeof createMovedClock>;
  readonly stop: AbortController;
  readonly done: Promise<void>;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

function start(taints: object[] | undefined, first: Partial<World> = {}): World {
  const { log, lines } = createCollectedLog();
  const stop = new AbortController();
  const world: World = {
    taints,
    problem: undefined,
    refusals: [],
    requests: [],
    clock: createMovedClock(),
    stop,
    lines,
    done: Promise.resolve(),
    ...first,
  };
  const request = async (asked: KubeRequest): Promise<KubeAnswer> => {
    world.requests.push(asked);
    if (asked.method !== "PATCH") return answer(200, { spec: { taints: world.taints } });
    const refusal = world.refusals.shift();
    if (refusal !== undefined) return answer(refusal, { message: "no" });
    const [test, replace] = JSON.parse(String(asked.body)) as readonly [Operation, Operation];
    assert.deepEqual(test.value, world.taints);
    world.taints = replace.value;
    return answer(200, {});
  };
  const done = removeStartUpTaint({
    connection: { request },
    nodeName: "node-1",
    key: KEY,
    notReadyBecause: () => world.problem,
    timeoutMs: 1000,
    clock: world.clock,
    random: () => 1,
    log,
    signal: stop.signal,
  });
  return Object.assign(world, { done });
}

function answer(status: number, body: object): KubeAnswer {
  return { status, headers: {}, body };
}

describe("the taint of a new node", () => {
  it("is taken away alone, and no other", async () => {
    const world = start([THEIRS, OURS, { ...OURS, effect: "NoExecute" }]);
    await world.done;
    assert.deepEqual(world.taints, [THEIRS]);
    assert.equal(world.requests[0]?.path, "/api/v1/nodes/node-1");
  });

  for (const taints of [undefined, [], [THEIRS]]) {
    it(`is not missed among ${JSON.stringify(taints)}: nothing is written`, async () => {
      const world = start(taints);
      await world.done;
      assert.equal(world.requests.length, 1);
    });
  }

  it("stays until all is ready", async () => {
    const world = start([OURS], { problem: "the rules are not in place" });
    for (let look = 0; look < 3; look += 1) {
      await until("it waits", () => world.clock.sleepers().length === 1);
      assert.deepEqual(world.requests, []);
      if (look === 2) world.problem = undefined;
      world.clock.advance(250);
    }
    await world.done;
    assert.deepEqual(world.taints, []);
  });

  it("is tried again when somebody else changed the taints meanwhile, or rights are missing", async () => {
    const world = start([OURS], { refusals: [422, 403] });
    await until("it waits", () => world.clock.sleepers().join() === "500");
    world.taints = [OURS, THEIRS];
    world.clock.advance(500);
    await until("it waits longer", () => world.clock.sleepers().join() === "1000");
    world.clock.advance(1000);
    await world.done;
    assert.deepEqual(world.taints, [THEIRS]);
    const problems = world.lines.filter(({ level }) => level === 40).map(({ problem }) => problem);
    assert.deepEqual(problems, ["answered 422: no", "answered 403: no"]);
  });

  it("stays when the shim is stopped before", async () => {
    const world = start([OURS], { problem: "the pods of this node are not listed yet" });
    await until("it waits", () => world.clock.sleepers().length === 1);
    world.stop.abort();
    await world.done;
    assert.deepEqual(world.taints, [OURS]);
  });
});
