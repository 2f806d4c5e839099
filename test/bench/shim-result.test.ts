import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { shimGoalsOf, type ShimCell, type ShimMeasured } from "./shim-result.ts";

const CELL: ShimCell = {
  perSecond: 20_000,
  p50Ms: 0.3,
  p99Ms: 2,
  throughputRatio: 0.8,
  p99Ratio: 1.2,
  slowestFirstMs: 20,
  cpuUs: 30,
  cpuRatio: 0.8,
};

function measured(changes: Partial<ShimMeasured> = {}): ShimMeasured {
  const cells = { "1": CELL, "8": CELL, "32": CELL };
  const all = { list: cells, credentials: cells, container: cells, token: cells };
  const disturbed = { ...CELL, eventsPerSecond: 500 };
  return {
    pods: 30_000,
    podsOfNode: 250,
    rounds: 3,
    secondsPerLoad: 3,
    node: "v24.0.0",
    separateCores: true,
    bodyBytes: { list: 8, credentials: 600, container: 500, token: 56 },
    residentMb: { ready: 80, withCredentials: 85, afterLoad: 90 },
    bare: all,
    shim: all,
    whileEvents: { credentials: disturbed, container: disturbed },
    ...changes,
  };
}

const missedOf = (of: ShimMeasured): readonly string[] =>
  shimGoalsOf(of).flatMap(({ goal, met }) => (met ? [] : [goal]));

describe("the goals of the shim", () => {
  it("are met by good figures", () => {
    assert.equal(shimGoalsOf(measured()).length, 13);
    assert.deepEqual(missedOf(measured()), []);
  });

  it("are missed by the worst number of connections", () => {
    const { shim } = measured();
    const slow = { ...CELL, throughputRatio: 0.69, p99Ms: 10 };
    const changed = { ...shim, container: { ...shim.container, "32": slow } };
    assert.deepEqual(missedOf(measured({ shim: changed })), [
      "container: throughput at least 0.7 of a bare server",
      "container: p99 below 10 ms",
    ]);
  });

  it("are missed by too few events, at 450 a second and not below", () => {
    const { whileEvents } = measured();
    const at = (eventsPerSecond: number): readonly string[] =>
      missedOf(
        measured({ whileEvents: { ...whileEvents, container: { ...CELL, eventsPerSecond } } }),
      );
    assert.deepEqual(at(450), []);
    assert.deepEqual(at(449), ["container: at least 450 of 500 events a second came in"]);
  });

  it("are missed by a long p99 while events come in", () => {
    const { whileEvents } = measured();
    const late = { ...whileEvents.credentials, p99Ms: 11 };
    assert.deepEqual(missedOf(measured({ whileEvents: { ...whileEvents, credentials: late } })), [
      "credentials: p99 below 10 ms while events come in",
    ]);
  });

  for (const [time, goal] of [
    ["ready", "at most 90 MB resident with all pods known"],
    ["withCredentials", "at most 90 MB resident with credentials of all pods of the node"],
    ["afterLoad", "at most 90 MB resident after the load"],
  ] as const) {
    it(`are missed by memory at its time alone: ${time}`, () => {
      const residentMb = { ...measured().residentMb, [time]: 91 };
      assert.deepEqual(missedOf(measured({ residentMb })), [goal]);
    });
  }
});
