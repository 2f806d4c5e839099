import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import { systemClock } from "./clock.ts";

const AN_HOUR_MS = 3_600_000;

describe("systemClock", () => {
  it("tells the time in milliseconds since the epoch", () => {
    const before = Date.now();
    const now = systemClock.now();
    assert.ok(before <= now && now <= Date.now());
  });

  it("sleeps", async () => {
    const startMs = performance.now();
    await systemClock.sleep(20);
    // Timers may be early by the fraction of a millisecond that they do not count.
    assert.ok(performance.now() - startMs >= 19);
  });

  it("does not wake up at once from a sleep that is longer than a timer can be", async () => {
    const stop = new AbortController();
    let isAwake = false;
    const sleeping = systemClock.sleep(2 ** 31, stop.signal).then(() => (isAwake = true));
    await systemClock.sleep(50);
    assert.equal(isAwake, false);
    stop.abort();
    await sleeping;
  });

  it("wakes up without an error when its signal aborts, and lets go of it", async () => {
    const stop = new AbortController();
    const sleeping = systemClock.sleep(AN_HOUR_MS, stop.signal);
    stop.abort(new Error("enough"));
    assert.equal(await sleeping, undefined);
    assert.deepEqual(getEventListeners(stop.signal, "abort"), []);
  });

  it("does not sleep with a signal that has aborted", async () => {
    assert.equal(await systemClock.sleep(AN_HOUR_MS, AbortSignal.abort()), undefined);
  });

  it("lets go of a signal that has not aborted", async () => {
    const { signal } = new AbortController();
    await systemClock.sleep(0, signal);
    assert.deepEqual(getEventListeners(signal, "abort"), []);
  });
});
