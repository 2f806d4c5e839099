import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import {
  configuration,
  DAY_MS,
  isReady,
  jump,
  metric,
  MUTATING,
  pass,
  SECRET,
  SECRETS,
  SETTINGS,
  startCertificateWorld,
  START_MS,
  STARTED,
  VALIDATING,
  type CertificateWorld,
} from "../../test/fakes/certificate-world.ts";
import { until } from "../../test/fakes/until.ts";
import { caBundleOf, expiryMsOf } from "./certificate-state.ts";
import { afterStep } from "./make-certificates.ts";
import { secretDataOf } from "./secret-data.ts";

let world: CertificateWorld;
beforeEach(async () => {
  world = await startCertificateWorld();
});
afterEach(() => world[Symbol.asyncDispose]());

describe("the rotation of own certificates", () => {
  for (const [name, offMs, kept] of [
    ["the certificate", 12 * DAY_MS, true],
    ["the CA too", 31 * DAY_MS, false],
  ] as const) {
    it(`starts right after all was off until ${name} had expired`, async () => {
      const state = await afterStep("create", undefined, STARTED);
      world.server.put(SECRET, { data: secretDataOf(state) });
      world.server.put(MUTATING, configuration(Buffer.from(caBundleOf(state)).toString("base64")));
      const nowMs = START_MS + offMs;
      const a = world.startReplica("a", { startMs: nowMs });
      await a.own.whenReady;
      const next = world.storedState();
      assert.equal(next.signing.cert === state.signing.cert, kept);
      assert.equal(expiryMsOf(next.serving.cert), nowMs + 10 * DAY_MS);
      assert.deepEqual(a.served, [state.serving, next.serving]);
      assert.deepEqual(world.storedBundles(MUTATING), [caBundleOf(next)]);
    });
  }

  it("goes through a rotation of the CA, whichever replica holds the Lease", async () => {
    world.server.put(MUTATING, configuration(undefined));
    world.server.put(VALIDATING, configuration(undefined));
    const [a, b] = [world.startReplica("a"), world.startReplica("b")];
    await Promise.all([a.own.whenReady, b.own.whenReady]);
    const first = world.storedState();
    await jump(20 * DAY_MS, a, b);
    await pass(
      "the next CA is trusted",
      () => world.storedState().next?.inForceSinceMs !== undefined,
      a,
      b,
    );
    const added = world.storedState();
    assert.equal(added.signing.cert, first.signing.cert);
    assert.deepEqual(world.storedBundles(MUTATING), [caBundleOf(added)]);
    assert.deepEqual(world.storedBundles(VALIDATING), [caBundleOf(added)]);

    const holder = a.lease.held ? a : b;
    await holder.own[Symbol.asyncDispose]();
    await holder.lease[Symbol.asyncDispose]();
    const other = holder === a ? b : a;
    await jump(DAY_MS, other);
    await pass("the CA is switched", () => world.storedState().old !== undefined, other);
    const switched = world.storedState();
    assert.equal(switched.signing.cert, added.next?.authority.cert);
    await pass("it is served", () => other.served.at(-1)?.cert === switched.serving.cert, other);
    assert.ok(isReady(other));

    await jump(DAY_MS, other);
    const isGone = (path: string): boolean =>
      world.storedBundles(path)[0] === switched.signing.cert;
    await pass("the old CA is gone", () => isGone(MUTATING) && isGone(VALIDATING), other);
    await pass("it is ready", () => isReady(other), other);
  });

  it("sets no CA bundle by a Secret that has changed since it was told", async () => {
    world.server.put(MUTATING, configuration(undefined));
    const a = world.startReplica("a");
    await a.own.whenReady;
    const silence = Promise.withResolvers<void>();
    let reads = 0;
    world.server.faultOf = ({ method, path, prefix }) => {
      if (prefix !== "b" || method !== "GET" || path !== SECRETS) return undefined;
      reads += 1;
      // After the list comes the watch, which tells nothing.
      return reads === 2 ? { kind: "hold", until: silence.promise } : undefined;
    };
    const b = world.startReplica("b");
    try {
      await b.own.whenReady;
      await until("it watches the Secret", () => reads === 2);
      const occasion = { clock: a.clock, settings: SETTINGS };
      const added = await afterStep("add-ca", world.storedState(), occasion);
      const switched = await afterStep("switch-ca", added, occasion);
      world.server.put(SECRET, { data: secretDataOf(switched) });
      const isSet = (): boolean => world.storedBundles(MUTATING)[0] === caBundleOf(switched);
      await pass("the other sets the bundle", isSet, a);

      await a.own[Symbol.asyncDispose]();
      await a.lease[Symbol.asyncDispose]();
      await pass("it holds the lease", () => b.lease.held, b);
      const heldMs = b.clock.now();
      await pass("it had time to act", () => b.clock.now() >= heldMs + 5000, b);
      assert.ok(isSet(), "the API server still trusts what the Secret has");
      assert.notEqual(b.served.at(-1)?.cert, switched.serving.cert, "it has not been told yet");
    } finally {
      silence.resolve();
    }
    await pass("it serves what the Secret has", () => b.served.length === 2, b);
    await pass("it is ready", () => isReady(b), b);
  });

  it("keeps the next CA waiting while a configuration cannot be set", async () => {
    world.server.put(MUTATING, configuration(undefined));
    const a = world.startReplica("a");
    await a.own.whenReady;
    world.server.faultOf = ({ method }) =>
      method === "PATCH" ? { kind: "status", status: 500 } : undefined;
    await jump(20 * DAY_MS, a);
    await pass("the next CA is made", () => world.storedState().next !== undefined, a);
    await jump(5 * DAY_MS, a);
    const { next, old } = world.storedState();
    assert.deepEqual([next?.inForceSinceMs, old], [undefined, undefined]);
    world.server.faultOf = () => undefined;
    await pass("it is trusted", () => world.storedState().next?.inForceSinceMs !== undefined, a);
  });

  it("writes again what another has overwritten at the same time", async () => {
    world.server.put(MUTATING, configuration(undefined));
    let isFirst = true;
    world.server.faultOf = ({ method, path }) => {
      if (method !== "POST" || !path.startsWith(SECRETS) || !isFirst) return undefined;
      isFirst = false;
      world.server.put(SECRET, { data: {} });
      return undefined;
    };
    const a = world.startReplica("a");
    await a.own.whenReady;
    assert.deepEqual(a.served, [world.storedState().serving]);
    assert.equal(await metric(a, "certificate_rotations_total"), 1);
  });
});
