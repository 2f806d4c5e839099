import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LatestOnly } from "./latest-only.ts";

describe("LatestOnly", () => {
  it("runs one at a time, and after the values in between only the last", async () => {
    const seen: string[] = [];
    const gate = Promise.withResolvers<void>();
    const queue = new LatestOnly<string>(async (value) => {
      seen.push(`${value} begins`);
      if (value === "b") await gate.promise;
      seen.push(`${value} ends`);
    });
    queue.offer("a");
    queue.offer("b");
    await Promise.resolve();
    await Promise.resolve();
    assert.deepEqual(seen, ["b begins"]);
    queue.offer("c");
    queue.offer("d");
    gate.resolve();
    await queue.idle();
    assert.deepEqual(seen, ["b begins", "b ends", "d begins", "d ends"]);
    await queue.idle();
    queue.offer("e");
    await queue.idle();
    assert.equal(seen.at(-1), "e ends");
  });
});
