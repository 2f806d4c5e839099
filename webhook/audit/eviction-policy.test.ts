import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  EvictionPolicy,
  FIRST_BACKOFF_MS,
  MAX_BACKOFF_MS,
  REPLACEMENT_MS,
  type EvictablePod,
} from "./eviction-policy.ts";

const CURABLE = { reason: "no-token", restartHelps: true } as const;
const INCURABLE = { reason: "foreign-volume", restartHelps: false } as const;

function pod(uid: string, over: Partial<EvictablePod> = {}): EvictablePod {
  return {
    uid,
    controllerUid: "rs-1",
    controllerKind: "apps/ReplicaSet",
    finding: CURABLE,
    isReady: true,
    ...over,
  };
}

const of = (i: number, uid: string): EvictablePod => pod(uid, { controllerUid: `rs-${i}` });

/** Evicts what the policy names, as the auditor does. */
function evictNext(
  policy: EvictionPolicy,
  pods: readonly EvictablePod[],
  nowMs: number,
): string | undefined {
  const next = policy.next(pods, nowMs);
  if (next === undefined) return undefined;
  const those = pods.filter(({ controllerUid }) => controllerUid === next.controllerUid);
  policy.evicted(next.controllerUid, those, nowMs);
  return next.uid;
}

describe("EvictionPolicy", () => {
  const cases: Readonly<Record<string, readonly [Partial<EvictablePod>, boolean]>> = {
    "a pod of a ReplicaSet": [{}, true],
    "a pod of a StatefulSet": [{ controllerKind: "apps/StatefulSet" }, true],
    "a pod of a DaemonSet": [{ controllerKind: "apps/DaemonSet" }, true],
    "a pod of a ReplicationController": [{ controllerKind: "/ReplicationController" }, true],
    "a pod of a Job": [{ controllerKind: "batch/Job" }, false],
    "a pod of a Node": [{ controllerKind: "/Node" }, false],
    "a pod of an unknown controller": [{ controllerKind: "example.com/ReplicaSet" }, false],
    "a pod that a restart would not cure": [{ finding: INCURABLE }, false],
    "a pod that is right": [{ finding: undefined }, false],
    "a pod that nobody has looked at": [{ finding: "unchecked" }, false],
  };
  for (const [name, [over, isEvicted]] of Object.entries(cases)) {
    it(`${isEvicted ? "evicts" : "leaves"} ${name}`, () => {
      const next = new EvictionPolicy().next([pod("a", over)], 0);
      assert.equal(next?.uid, isEvicted ? "a" : undefined);
    });
  }

  it("takes the next pod of a controller only after the replacement is ready", () => {
    const policy = new EvictionPolicy();
    const [a, b] = [pod("a"), pod("b")];
    assert.equal(evictNext(policy, [a, b], 0), "a");
    const starting = pod("c", { finding: undefined, isReady: false });
    assert.equal(evictNext(policy, [b, starting], 1000), undefined, "right, but not ready");
    const late = REPLACEMENT_MS - 1;
    assert.equal(evictNext(policy, [b, starting], late), undefined, "still not ready");
    assert.equal(evictNext(policy, [b, { ...starting, isReady: true }], late), "b");
  });

  it("takes a replacement that does not become ready for one that is no better", () => {
    const policy = new EvictionPolicy();
    evictNext(policy, [pod("a"), pod("b")], 0);
    const broken = pod("c", { finding: undefined, isReady: false });
    assert.equal(evictNext(policy, [pod("b"), broken], REPLACEMENT_MS), undefined, "the verdict");
    const againMs = REPLACEMENT_MS + FIRST_BACKOFF_MS;
    assert.equal(evictNext(policy, [pod("b"), broken], againMs - 1), undefined, "too soon");
    assert.equal(evictNext(policy, [pod("b"), broken], againMs), "b");
    assert.equal(
      evictNext(policy, [broken], againMs + REPLACEMENT_MS),
      undefined,
      "no replacement",
    );
  });

  it("takes the next pod of a controller only after the replacement was seen to be right", () => {
    const policy = new EvictionPolicy();
    const [a, b] = [pod("a"), pod("b")];
    assert.equal(evictNext(policy, [a, b], 0), "a");
    assert.equal(evictNext(policy, [a, b], 1000), undefined, "a still ends");
    assert.equal(evictNext(policy, [b], 2000), undefined, "no replacement yet");
    const fresh = pod("c", { finding: "unchecked" });
    assert.equal(evictNext(policy, [b, fresh], 3000), undefined, "not looked at yet");
    assert.equal(evictNext(policy, [b, { ...fresh, finding: undefined }], 4000), "b");
  });

  it("does not wait for one controller to go on with another", () => {
    const policy = new EvictionPolicy();
    const pods = [pod("a"), pod("b"), pod("x", { controllerUid: "rs-2" })];
    assert.equal(evictNext(policy, pods, 0), "a");
    assert.equal(evictNext(policy, pods, 0), "x");
    assert.equal(evictNext(policy, pods, 0), undefined);
  });

  it("waits twice as long with each replacement that is no better, at most a day", () => {
    const policy = new EvictionPolicy();
    let nowMs = 0;
    let waitMs = FIRST_BACKOFF_MS;
    for (let i = 0; i < 12; i += 1) {
      assert.equal(evictNext(policy, [pod(`p-${i}`)], nowMs), `p-${i}`);
      const replacement = [pod(`p-${i + 1}`)];
      assert.equal(policy.next(replacement, nowMs), undefined, "the verdict");
      assert.equal(policy.next(replacement, nowMs + waitMs - 1), undefined, `${i}: too soon`);
      nowMs += waitMs;
      waitMs = Math.min(waitMs * 2, MAX_BACKOFF_MS);
    }
    assert.equal(waitMs, MAX_BACKOFF_MS);
  });

  it("begins anew after a replacement that is right", () => {
    const policy = new EvictionPolicy();
    evictNext(policy, [pod("a")], 0);
    policy.next([pod("b")], 0);
    assert.equal(evictNext(policy, [pod("b")], FIRST_BACKOFF_MS), "b");
    policy.next([pod("c", { finding: undefined })], FIRST_BACKOFF_MS);
    const later = [pod("c", { finding: undefined }), pod("d")];
    assert.equal(evictNext(policy, later, FIRST_BACKOFF_MS), "d");
    policy.next([pod("e")], FIRST_BACKOFF_MS);
    assert.equal(evictNext(policy, [pod("e")], 2 * FIRST_BACKOFF_MS - 1), undefined);
    assert.equal(evictNext(policy, [pod("e")], 2 * FIRST_BACKOFF_MS), "e");
  });

  it("tries again when no replacement comes", () => {
    const policy = new EvictionPolicy();
    const pods = [pod("a"), pod("b")];
    evictNext(policy, pods, 0);
    assert.equal(evictNext(policy, [pod("b")], REPLACEMENT_MS - 1), undefined);
    assert.equal(evictNext(policy, [pod("b")], REPLACEMENT_MS), "b");
  });

  it("asks again after a refusal, when its time has come", () => {
    const policy = new EvictionPolicy();
    policy.refused("rs-1", 30_000, 0);
    assert.equal(policy.next([pod("a")], 29_999), undefined);
    assert.equal(policy.next([pod("a")], 30_000)?.uid, "a");
  });

  it("makes all controllers wait after three disappointments in a row", () => {
    const policy = new EvictionPolicy();
    for (let i = 0; i < 3; i += 1) {
      assert.equal(evictNext(policy, [of(i, `old-${i}`)], 0), `old-${i}`);
      policy.next([of(i, `new-${i}`)], 0);
    }
    assert.equal(policy.next([of(9, "x")], FIRST_BACKOFF_MS - 1), undefined);
    assert.equal(policy.next([of(9, "x")], FIRST_BACKOFF_MS)?.uid, "x");
  });
});
