import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RecentKeys } from "./recent-keys.ts";

describe("RecentKeys", () => {
  it("knows a key for its time, and not a moment longer", () => {
    const keys = new RecentKeys(100);
    keys.add("a", 1000);
    assert.equal(keys.has("a", 1099), true);
    assert.equal(keys.has("a", 1100), false);
    assert.equal(keys.has("b", 1000), false);
  });

  it("counts from the last time that a key was added", () => {
    const keys = new RecentKeys(100);
    keys.add("a", 1000);
    keys.add("b", 1050);
    keys.add("a", 1080);
    assert.equal(keys.has("a", 1179), true);
    assert.equal(keys.has("b", 1149), true);
    assert.equal(keys.has("b", 1150), false);
  });

  it("takes nothing for recent when the clock was put back", () => {
    const keys = new RecentKeys(100);
    keys.add("a", 1_000_000);
    assert.equal(keys.has("a", 1000), false);
  });
});
