import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { settle, whenThere } from "./soon.ts";

describe("whenThere", () => {
  it("goes on at once with what is there, and later with what will be", async () => {
    assert.equal(
      whenThere(1, (one) => one + 1),
      2,
    );
    const later = whenThere(Promise.resolve(1), (one) => one + 1);
    assert.ok(later instanceof Promise);
    assert.equal(await later, 2);
  });
});

describe("settle", () => {
  const problem = new Error("no");
  for (const [name, make, told] of [
    ["a value at once", () => 1, [1]],
    [
      "a failure at once",
      () => {
        throw problem;
      },
      [problem],
    ],
    ["a value to come", () => Promise.resolve(1), []],
    ["a failure to come", () => Promise.reject(problem), []],
  ] as const) {
    it(`hands on ${name}`, async () => {
      const seen: unknown[] = [];
      const hear = (what: unknown): void => void seen.push(what);
      settle<number>(make, hear, hear);
      assert.deepEqual(seen, told);
      await turn();
      assert.deepEqual(seen, [name.includes("failure") ? problem : 1]);
    });
  }
});
