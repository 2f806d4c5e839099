import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import * as fc from "fast-check";
import {
  LEASE_PATH,
  pass,
  settle,
  startLeaseWorld,
  type LeaseWorld,
} from "../../test/fakes/lease-world.ts";
import { LeaseObject } from "./lease-object.ts";

const DURATION_MS = 15_000;
const RENEW_DEADLINE_MS = 10_000;

let world: LeaseWorld;
beforeEach(async () => {
  world = await startLeaseWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

describe("startLease", () => {
  it("creates the Lease, holds it and renews it", async () => {
    const a = world.startReplica("a");
    await settle(a);
    assert.equal(a.lease.held, true);
    const first = world.stored();
    assert.match(first.holderIdentity ?? "", /^a_[0-9a-f-]{36}$/);
    assert.equal(first.acquireTime, "2026-01-01T00:00:00.000000Z");
    await pass(60_000, a);
    assert.equal(a.lease.held, true);
    assert.equal(a.runs, 1);
    const { renewTime, ...rest } = world.stored();
    assert.equal(renewTime, "2026-01-01T00:01:00.000000Z");
    assert.deepEqual({ ...rest, renewTime: first.renewTime }, first);
    // The first read, the creation, and an update without a read every two seconds.
    assert.deepEqual(
      ["GET", "POST", "PUT"].map(
        (m) => world.server.requests.filter(({ method }) => method === m).length,
      ),
      [1, 1, 30],
    );
  });

  it("gives it to one of two that start at once, and to the other when that one stops", async () => {
    const [a, b] = [world.startReplica("a"), world.startReplica("b")];
    await settle(a, b);
    const [holder, other] = a.lease.held ? [a, b] : [b, a];
    await pass(30_000, a, b);
    assert.deepEqual([holder.lease.held, other.lease.held], [true, false]);
    await holder.lease[Symbol.asyncDispose]();
    assert.deepEqual([holder.lease.held, holder.working], [false, 0]);
    assert.equal(world.stored().holderIdentity, "");
    await pass(3000, other);
    assert.deepEqual([other.lease.held, other.runs], [true, 1]);
    assert.equal(world.stored().leaseTransitions, 1);
  });

  for (const [name, skewMs] of [
    ["of the same time", 0],
    ["an hour behind", -3_600_000],
    ["an hour ahead", 3_600_000],
  ] as const) {
    it(`goes from a silent holder to a replica ${name} after the duration, no sooner`, async () => {
      const a = world.startReplica("a");
      await settle(a);
      const b = world.startReplica("b", { startMs: a.clock.now() + skewMs });
      world.serve({ a });
      await pass(20_000, a, b);
      assert.equal(a.lease.held, true);
      a.fault = { kind: "close" };
      // It shows its last sign of life now, and b has seen it within its interval.
      await pass(RENEW_DEADLINE_MS - 500, a, b);
      assert.deepEqual([a.lease.held, b.lease.held], [true, false]);
      await pass(500, a, b);
      assert.deepEqual([a.lease.held, a.working, b.lease.held], [false, 0, false]);
      await pass(DURATION_MS - RENEW_DEADLINE_MS - 1000, a, b);
      assert.equal(b.lease.held, false);
      await pass(5000, a, b);
      assert.deepEqual([a.lease.held, b.lease.held, b.runs], [false, true, 1]);
      a.fault = undefined;
      await pass(5000, a, b);
      assert.deepEqual([a.lease.held, b.lease.held], [false, true]);
    });
  }

  it("is not taken when the wall clock of the one that waits is set", async () => {
    const a = world.startReplica("a");
    await settle(a);
    const b = world.startReplica("b");
    await pass(4000, a, b);
    b.skewMs = 86_400_000;
    await pass(20_000, a, b);
    assert.deepEqual([a.lease.held, b.lease.held], [true, false]);
  });

  it("is not held by one whose clock was set back once it cannot renew", async () => {
    const a = world.startReplica("a");
    await settle(a);
    world.serve({ a });
    a.skewMs = -86_400_000;
    a.fault = { kind: "status", status: 500 };
    await pass(RENEW_DEADLINE_MS, a);
    assert.equal(a.lease.held, false);
  });

  it("is not held by one that stood still, before its timers have noticed", async () => {
    const a = world.startReplica("a");
    await settle(a);
    a.skewMs = RENEW_DEADLINE_MS - 1;
    assert.equal(a.lease.held, true);
    a.skewMs = RENEW_DEADLINE_MS;
    assert.equal(a.lease.held, false);
  });

  it("counts a renewal from when it was sent, and not at all when it was answered too late", async () => {
    const a = world.startReplica("a");
    await settle(a);
    world.serve({ a });
    const gate = Promise.withResolvers<void>();
    a.fault = { kind: "hold", until: gate.promise };
    await pass(2000, a);
    // The renewal is on its way; the one before it was sent 2 s ago.
    await pass(RENEW_DEADLINE_MS - 2500, a);
    assert.equal(a.lease.held, true);
    await pass(500, a);
    assert.equal(a.lease.held, false);
    await pass(3000, a);
    gate.resolve();
    a.fault = undefined;
    await settle(a);
    assert.equal(a.lease.held, false, "an old answer");
    await pass(2500, a);
    assert.deepEqual([a.lease.held, a.runs], [true, 2]);
  });

  it("stays with the holder through a conflict, and through a renewal whose answer is lost", async () => {
    const a = world.startReplica("a");
    await settle(a);
    world.serve({ a });
    world.server.put(LEASE_PATH, {
      ...world.server.objects.get(LEASE_PATH),
      metadata: { labels: { team: "x" } },
    });
    await pass(4000, a);
    a.fault = { kind: "lost-answer" };
    await pass(4000, a);
    a.fault = undefined;
    await pass(4000, a);
    a.fault = { kind: "status", status: 409 };
    await pass(4000, a);
    a.fault = undefined;
    await pass(4000, a);
    assert.deepEqual([a.lease.held, a.runs], [true, 1]);
    assert.deepEqual(world.server.objects.get(LEASE_PATH)?.metadata["labels"], { team: "x" });
  });

  it("ends as soon as another is seen to hold it", async () => {
    const a = world.startReplica("a");
    await settle(a);
    const { spec } = LeaseObject.parse(world.server.objects.get(LEASE_PATH));
    world.server.put(LEASE_PATH, { spec: { ...spec, holderIdentity: "b" } });
    await pass(4500, a);
    assert.deepEqual([a.lease.held, a.working], [false, 0]);
  });

  it("is not won by one that waits when it is deleted under the holder", async () => {
    const [a, b] = [world.startReplica("a"), world.startReplica("b")];
    await pass(4000, a, b);
    const [holder, other] = a.lease.held ? [a, b] : [b, a];
    world.serve({ a, b });
    holder.fault = { kind: "close" };
    world.server.remove(LEASE_PATH);
    await pass(4000, a, b);
    holder.fault = undefined;
    await pass(6000, a, b);
    assert.deepEqual([holder.lease.held, holder.runs, other.runs], [true, 1, 0]);
  });

  for (const spec of [undefined, null, {}, { holderIdentity: "" }, { holderIdentity: null }]) {
    it(`takes a Lease that says ${JSON.stringify(spec)}`, async () => {
      world.server.put(LEASE_PATH, { spec });
      const a = world.startReplica("a");
      await settle(a);
      assert.equal(a.lease.held, true);
    });
  }

  it("says once why it cannot claim it, and goes on trying", async () => {
    world.server.faultOf = () => ({ kind: "status", status: 403 });
    const a = world.startReplica("a");
    await pass(10_000, a);
    world.server.faultOf = () => undefined;
    await pass(2000, a);
    assert.equal(a.lease.held, true);
    const warnings = a.lines.filter(({ level }) => level === 40);
    assert.deepEqual(
      warnings.map(({ msg, problem }) => [msg, problem]),
      [
        [
          "Cannot claim the lease",
          "Cannot use lease eks/webhook: the API server answered 403: asked to fail",
        ],
      ],
    );
  });

  it("starts failed work again, and work that is added late at once", async () => {
    const a = world.startReplica("a");
    await settle(a);
    const seen: string[] = [];
    a.lease.whileHeld(async () => {
      seen.push("fails");
      if (seen.length < 3) throw new Error("not yet");
    });
    await settle(a);
    assert.equal(seen.length, 1);
    await pass(10_000, a);
    assert.equal(seen.length, 3);
  });

  it("is released only after the work has ended", async () => {
    const a = world.startReplica("a");
    const gate = Promise.withResolvers<void>();
    a.lease.whileHeld(() => gate.promise);
    await settle(a);
    const stopped = a.lease[Symbol.asyncDispose]();
    await settle(a);
    assert.equal(a.lease.held, false);
    assert.equal(world.stored().holderIdentity, a.lease.identity);
    gate.resolve();
    await stopped;
    assert.equal(world.stored().holderIdentity, "");
  });

  it("is left to run out when the work does not end in time", async () => {
    const a = world.startReplica("a");
    const gate = Promise.withResolvers<void>();
    a.lease.whileHeld(() => gate.promise);
    await settle(a);
    const stopped = a.lease[Symbol.asyncDispose]();
    a.clock.advance(RENEW_DEADLINE_MS);
    gate.resolve();
    await stopped;
    assert.equal(world.stored().holderIdentity, a.lease.identity);
  });

  it("never has two holders, whatever fails and however the clocks run", async () => {
    const fault = fc.option(
      fc.oneof(
        fc.constant({ kind: "close" } as const),
        fc.constant({ kind: "lost-answer" } as const),
        fc.constantFrom(409, 500, 403).map((status) => ({ kind: "status", status }) as const),
      ),
      { nil: undefined, freq: 2 },
    );
    // Faster and slower than each other by less than duration to deadline.
    const paceMs = fc.integer({ min: 425, max: 600 });
    const step = fc.record({ a: fault, b: fault, count: fc.integer({ min: 1, max: 20 }) });
    await fc.assert(
      fc.asyncProperty(paceMs, paceMs, fc.array(step, { maxLength: 12 }), async (pa, pb, steps) => {
        world.server.remove(LEASE_PATH);
        const [a, b] = [world.startReplica("a"), world.startReplica("b")];
        world.serve({ a, b });
        for (const { count, ...faults } of steps) {
          a.fault = faults.a;
          b.fault = faults.b;
          for (let i = 0; i < count; i += 1) {
            a.clock.advance(pa);
            b.clock.advance(pb);
            await settle(a, b);
            assert.ok(!(a.lease.held && b.lease.held), "two holders");
            assert.ok(a.working + b.working <= 1, "work done twice");
          }
        }
        a.fault = undefined;
        b.fault = undefined;
        for (let i = 0; i < 60 && !a.lease.held && !b.lease.held; i += 1) {
          a.clock.advance(pa);
          b.clock.advance(pb);
          await settle(a, b);
        }
        assert.ok(a.lease.held !== b.lease.held, "one holder in the end");
        await Promise.all([a, b].map(({ lease }) => lease[Symbol.asyncDispose]()));
      }),
      { numRuns: 15 },
    );
  });
});
