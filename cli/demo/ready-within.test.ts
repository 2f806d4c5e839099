import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readyWithin } from "./ready-within.ts";

function startedPart() {
  const part = {
    disposals: 0,
    async [Symbol.asyncDispose]() {
      part.disposals += 1;
    },
  };
  return part;
}

describe("readyWithin", () => {
  it("gives a part that gets ready, and leaves it running", async () => {
    const started = startedPart();
    const part = { name: "The part", started, ready: Promise.resolve() };
    assert.equal(await readyWithin(60_000, part), started);
    assert.equal(started.disposals, 0);
  });

  it("takes a part down that never gets ready, and names it", async () => {
    const started = startedPart();
    const { promise: ready } = Promise.withResolvers<void>();
    await assert.rejects(readyWithin(5, { name: "The part", started, ready }), {
      code: "DEMO_FAILED",
      message: "The part is not ready after 0.005 s",
    });
    assert.equal(started.disposals, 1);
  });

  it("takes a part down that fails, with its reason", async () => {
    const started = startedPart();
    const ready = Promise.reject(new Error("no keys"));
    await assert.rejects(readyWithin(60_000, { name: "The part", started, ready }), /no keys/);
    assert.equal(started.disposals, 1);
  });
});
