import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { backoffMs } from "./backoff.ts";

describe("backoffMs", () => {
  for (const [attempt, random, ms] of [
    [1, 0, 500],
    [1, 0.5, 750],
    [1, 0.999999, 1000],
    [2, 0, 1000],
    [5, 0, 8000],
    [6, 0, 15_000],
    [7, 0, 15_000],
    [1e9, 0.5, 22_500],
  ] as const) {
    it(`waits ${ms} ms before try ${attempt} with ${random}`, () => {
      assert.equal(backoffMs(attempt, { baseMs: 1000, maxMs: 30_000, random }), ms);
    });
  }

  it("stays in the upper half of its limit, and never gets shorter", () => {
    const limits = fc.record({
      baseMs: fc.integer({ min: 1, max: 10_000 }),
      maxMs: fc.integer({ min: 10_000, max: 600_000 }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), limits, (attempt, options) => {
        const ms = backoffMs(attempt, options);
        assert.ok(ms >= Math.round(options.baseMs / 2) && ms <= options.maxMs);
        assert.ok(ms <= backoffMs(attempt + 1, options));
      }),
    );
  });
});
