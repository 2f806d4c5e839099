import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AppError, isForbidden } from "../../lib/errors.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { until } from "../../test/fakes/until.ts";
import { CachedReads, whileBoth } from "./cached-reads.ts";

const PATH = "namespaces/team";

/** A cache in front of one object that changes. */
function start({ fallback }: { readonly fallback?: string } = {}) {
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const server: {
    value: string | undefined;
    isAway: boolean;
    isForbidden: boolean;
    reads: number;
    /** What its answers wait for. */
    hanging: Promise<void> | undefined;
  } = { value: "first", isAway: false, isForbidden: false, reads: 0, hanging: undefined };
  const reads = {
    read: async (): Promise<string | undefined> => {
      server.reads += 1;
      await server.hanging;
      if (server.isAway) throw new AppError("KUBERNETES_UNAVAILABLE", 503, "Cannot reach it");
      if (server.isForbidden) throw new AppError("KUBERNETES_FORBIDDEN", 502, "Not allowed");
      return server.value;
    },
  };
  const fallbackOf = (err: unknown): string | undefined =>
    isForbidden(err) ? fallback : undefined;
  const cache = new CachedReads({ reads, fallbackOf, maxAgeMs: 10_000, clock, log });
  return { clock, server, lines, get: async () => (await cache.get(PATH)).value };
}

describe("whileBoth", () => {
  it("begins with the later and ends with the earlier", () => {
    const [early, late] = [
      { fromMs: 1, untilMs: 5 },
      { fromMs: 2, untilMs: 9 },
    ];
    assert.deepEqual(whileBoth(early, late), { fromMs: 2, untilMs: 5 });
    assert.deepEqual(whileBoth(late, early), { fromMs: 2, untilMs: 5 });
    const always = { fromMs: -Infinity, untilMs: Infinity };
    assert.deepEqual(whileBoth(always, late), late);
  });
});

describe("CachedReads", () => {
  it("reads once, and anew when the answer is too old", async () => {
    const { clock, server, get } = start();
    assert.deepEqual([await get(), await get()], ["first", "first"]);
    assert.equal(server.reads, 1);
    server.value = "second";
    clock.advance(9999);
    assert.equal(await get(), "first");
    clock.advance(1);
    assert.equal(await get(), "second");
    assert.equal(server.reads, 2);
  });

  it("remembers for as long that there is none", async () => {
    const { clock, server, get } = start();
    server.value = undefined;
    assert.deepEqual([await get(), await get()], [undefined, undefined]);
    assert.equal(server.reads, 1);
    server.value = "first";
    clock.advance(10_000);
    assert.equal(await get(), "first");
  });

  it("keeps what it knows while the API server is away, asks it once a second, and tells so", async () => {
    const { clock, server, lines, get } = start();
    await get();
    server.isAway = true;
    clock.advance(3_600_000);
    assert.equal(await get(), "first");
    clock.advance(999);
    assert.equal(await get(), "first");
    assert.equal(server.reads, 2);
    clock.advance(1);
    assert.equal(await get(), "first");
    assert.equal(server.reads, 3);
    assert.equal(lines[0]?.["msg"], "Using what is known of an object");
    server.isAway = false;
    server.value = "second";
    clock.advance(1000);
    assert.equal(await get(), "second");
  });

  it("waits 200 ms for anything newer than what it knows, and not again for a second", async () => {
    const { clock, server, get } = start();
    await get();
    const { promise, resolve } = Promise.withResolvers<void>();
    server.hanging = promise;
    server.value = "second";
    clock.advance(10_000);
    const asked = get();
    await until("it waits", () => clock.sleepers().includes(200));
    clock.advance(200);
    assert.equal(await asked, "first");
    assert.equal(await get(), "first");
    assert.equal(server.reads, 2);
    resolve();
    await until("the answer is there", async () => (await get()) === "second");
    assert.equal(server.reads, 2);
  });

  it("says that nobody knows what was never read, and asks again", async () => {
    const { server, get } = start();
    server.isAway = true;
    await assert.rejects(async () => get(), { code: "KUBERNETES_UNAVAILABLE" });
    server.isAway = false;
    assert.equal(await get(), "first");
  });

  it("keeps what stands for an object like an answer, and prefers an answer", async () => {
    const { clock, server, get } = start({ fallback: "unread" });
    server.isForbidden = true;
    assert.deepEqual([await get(), await get()], ["unread", "unread"]);
    assert.equal(server.reads, 1);
    clock.advance(10_000);
    assert.deepEqual([await get(), await get()], ["unread", "unread"]);
    assert.equal(server.reads, 2);
    server.isAway = true;
    clock.advance(10_000);
    assert.equal(await get(), "unread");
    server.isAway = false;
    server.isForbidden = false;
    clock.advance(1000);
    assert.equal(await get(), "first");
    server.isForbidden = true;
    clock.advance(10_000);
    assert.equal(await get(), "first");
  });

  it("has nothing that stands for an object when nobody answers", async () => {
    const { server, get } = start({ fallback: "unread" });
    server.isAway = true;
    await assert.rejects(async () => get(), { code: "KUBERNETES_UNAVAILABLE" });
  });

  it("reads anew when the clock was set back", async () => {
    const { clock, server, get } = start();
    await get();
    server.value = "second";
    clock.advance(-3_600_000);
    assert.equal(await get(), "second");
  });

  it("keeps what it read after the clock was set back", async () => {
    const { clock, server, get } = start();
    await get();
    server.value = "second";
    clock.advance(-3_600_000);
    assert.deepEqual([await get(), await get()], ["second", "second"]);
    assert.equal(server.reads, 2);
  });

  it("does not go back to what it read before when another wait for it ends then", async () => {
    const { clock, server, get } = start();
    await get();
    clock.advance(-3_600_000);
    server.value = "second";
    const late = Promise.withResolvers<void>();
    const first = get();
    server.hanging = late.promise;
    const waiting = get();
    assert.equal(await first, "second");
    // The patience of the other one ends, and then its reading fails.
    clock.advance(200);
    await waiting;
    server.isAway = true;
    late.resolve();
    assert.equal(await get(), "second");
  });
});
