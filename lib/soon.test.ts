import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { whenThere } from "./soon.ts";

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
