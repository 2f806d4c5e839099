import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { deadline, orAbort } from "./deadline.ts";

describe("deadline", () => {
  it("aborts after its time, not before, and says so", (t) => {
    t.mock.timers.enable({ apis: ["setTimeout"] });
    using limit = deadline(100);
    t.mock.timers.tick(99);
    assert.equal(limit.signal.aborted, false);
    t.mock.timers.tick(1);
    assert.equal(limit.signal.reason.message, "no answer within 100 ms");
  });

  for (const [name, settle] of [
    ["stopped", (limit: ReturnType<typeof deadline>) => limit.stopTimer()],
    ["disposed of", (limit: ReturnType<typeof deadline>) => limit[Symbol.dispose]()],
  ] as const) {
    it(`never aborts by time once its timer is ${name}`, (t) => {
      t.mock.timers.enable({ apis: ["setTimeout"] });
      const limit = deadline(100);
      settle(limit);
      t.mock.timers.tick(1000);
      assert.equal(limit.signal.aborted, false);
    });
  }

  it("aborts with the caller's signal, also after its timer is stopped", () => {
    const caller = new AbortController();
    using limit = deadline(60_000, caller.signal);
    limit.stopTimer();
    caller.abort();
    assert.equal(limit.signal.reason.message, "cancelled");
  });

  it("aborts at once with a signal that has aborted", () => {
    using limit = deadline(60_000, AbortSignal.abort());
    assert.equal(limit.signal.aborted, true);
  });

  it("lets go of the caller's signal when disposed of", () => {
    const caller = new AbortController();
    const limit = deadline(60_000, caller.signal);
    limit[Symbol.dispose]();
    caller.abort();
    assert.equal(limit.signal.aborted, false);
  });
});

describe("orAbort", () => {
  it("gives what the work gives, or throws", async () => {
    const { signal } = new AbortController();
    assert.equal(await orAbort(Promise.resolve(1), signal), 1);
    await assert.rejects(orAbort(Promise.reject(new Error("failed")), signal), /failed/);
  });

  it("stops waiting for work that never ends", async () => {
    const stop = new AbortController();
    const waiting = orAbort(Promise.withResolvers<void>().promise, stop.signal);
    stop.abort(new Error("enough"));
    await assert.rejects(waiting, /enough/);
    await assert.rejects(orAbort(Promise.resolve(1), stop.signal), /enough/);
  });

  it("leaves no failure behind that nobody waits for", async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    await assert.rejects(orAbort(promise, AbortSignal.abort(new Error("enough"))), /enough/);
    const unhandled: unknown[] = [];
    const note = (reason: unknown): void => void unhandled.push(reason);
    process.on("unhandledRejection", note);
    reject(new Error("failed"));
    await nextTurn();
    process.off("unhandledRejection", note);
    assert.deepEqual(unhandled, []);
  });
});
