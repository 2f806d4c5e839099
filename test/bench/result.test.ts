import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { goalsOf, median, type ComparedCell, type Measured } from "./result.ts";
import { tableOf } from "./table.ts";

const cell: ComparedCell = {
  perSecond: 3000,
  p50Ms: 2,
  p99Ms: 6,
  throughputRatio: 0.75,
  p99Ratio: 1.99,
};
const good: Measured = {
  accounts: 100,
  annotated: 10,
  rounds: 3,
  secondsPerLoad: 1,
  node: "v24.0.0",
  separateCores: true,
  reviewBytes: 10_000,
  patchBytes: 1536,
  startUp: { firstCorrectSeconds: 1, readySeconds: 2, earlyAnswers: 7, earlyUnmutated: 0 },
  residentMb: { ready: 90, afterLoad: 120 },
  calibration: { "8": { perSecond: 4000, p50Ms: 1, p99Ms: 3 } },
  webhook: { patch: { "8": cell }, none: { "8": cell }, again: { "8": cell } },
};
const missed = (measured: Measured): readonly string[] =>
  goalsOf(measured).flatMap(({ met, goal }) => (met ? [] : [goal]));

describe("goalsOf", () => {
  it("is met at each limit", () => {
    assert.equal(goalsOf(good).length, 10);
    assert.deepEqual(missed(good), []);
  });

  for (const [name, worse, goal] of [
    [
      "throughput",
      { webhook: { ...good.webhook, patch: { "8": { ...cell, throughputRatio: 0.749 } } } },
      /^patch: throughput/,
    ],
    [
      "p99",
      { webhook: { ...good.webhook, none: { "8": { ...cell, p99Ratio: 2 } } } },
      /^none: p99/,
    ],
    ["patch", { patchBytes: 1537 }, /^patch at most/],
    ["memory", { residentMb: { ready: 1, afterLoad: 120.1 } }, /MB resident/],
    ["start", { startUp: { ...good.startUp, firstCorrectSeconds: 1.01 } }, /^first correct/],
    ["early answers", { startUp: { ...good.startUp, earlyUnmutated: 1 } }, /^no pod let go/],
  ] as const) {
    it(`is missed beyond the limit: ${name}`, () => {
      const goals = missed({ ...good, ...worse });
      assert.equal(goals.length, 1);
      assert.match(goals[0] ?? "", goal);
    });
  }
});

describe("median", () => {
  for (const [values, middle] of [
    [[], 0],
    [[3], 3],
    [[1, 3], 2],
    [[9, 1, 10], 9],
    [[4, 1, 3, 2], 2.5],
  ] as const) {
    it(`of [${values.join()}] is ${middle}`, () => assert.equal(median(values), middle));
  }
});

describe("tableOf", () => {
  it("shows every load and every goal", () => {
    const table = tableOf(good, goalsOf({ ...good, patchBytes: 2000 }));
    for (const name of ["calibration", "patch", "none", "again"]) {
      assert.match(table, new RegExp(`^${name} +8 +\\d+ +\\d+\\.\\d\\d +\\d+\\.\\d\\d`, "m"));
    }
    assert.match(table, /^missed {2}patch at most 1536 bytes: 2000$/m);
    assert.match(table, /^met {5}none: p99/m);
  });
});
