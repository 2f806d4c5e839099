import assert from "node:assert/strict";
import { describe, it } from "node:test";
import pico from "picocolors";
import { podDiff } from "./pod-diff.ts";

const before = { spec: { a: 1, b: 2, c: 3, containers: [{ name: "app" }] } };
const after = { spec: { ...before.spec, containers: [{ name: "app", env: ["X"] }] } };

describe("podDiff", () => {
  it("shows added lines with a little around them", () => {
    assert.deepEqual(podDiff(before, after, pico.createColors(false)), [
      "   containers:",
      "     - name: app",
      "+      env:",
      "+        - X",
    ]);
  });

  it("paints what is added green", () => {
    const lines = podDiff(before, after, pico.createColors(true));
    assert.equal(lines.at(-1), "\u001B[32m+        - X\u001B[39m");
  });

  it("is empty for equal objects", () => {
    assert.deepEqual(podDiff(before, before, pico.createColors(false)), []);
  });
});
