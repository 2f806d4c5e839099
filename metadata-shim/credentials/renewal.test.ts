import assert from "node:assert/strict";
import { after, afterEach, describe, it } from "node:test";
import { failureOf, goodOf } from "../../test/fakes/credential-result.ts";
import { startCredentialStage } from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { until } from "../../test/fakes/until.ts";

const MINUTE_MS = 60_000;
// Signed calls, which set the stage and prove credentials, go by the system's clock.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));
afterEach(() => stage.aws.set({ faults: {} }));

/** Lets what was started by a moved clock come to its end over real sockets. */
function settled(calls: number): Promise<void> {
  return until(`there were ${calls} calls`, () => stage.exchanges().length >= calls);
}

describe("renewal", () => {
  it("happens at half life, before anybody asks again", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    const first = goodOf(await credentials.obtain(stage.wanted(pod)));
    const before = stage.exchanges().length;
    clock.advance(26 * MINUTE_MS);
    assert.equal(
      goodOf(await credentials.obtain(stage.wanted(pod))).accessKeyId,
      first.accessKeyId,
    );
    assert.equal(stage.exchanges().length, before);
    await stage.writeToken(pod);
    clock.advance(2 * MINUTE_MS);
    await settled(before + 1);
    await until("the new ones serve", async () => {
      const { accessKeyId } = goodOf(await credentials.obtain(stage.wanted(pod)));
      return accessKeyId !== first.accessKeyId;
    });
  });

  it("is not for what nobody asked for since, and what is left goes away", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    const before = stage.exchanges().length;
    await credentials.obtain(stage.wanted(pod));
    await stage.writeToken(pod);
    clock.advance(28 * MINUTE_MS);
    await settled(before + 2);
    await until("both have settled", () => clock.sleepers().some((ms) => ms > 20 * MINUTE_MS));
    clock.advance(28 * MINUTE_MS);
    await until("it waits for its end", () => clock.sleepers().some((ms) => ms > 20 * MINUTE_MS));
    assert.equal(stage.exchanges().length, before + 2);
    clock.advance(40 * MINUTE_MS);
    await until("it is gone", () => credentials.size === 0);
    assert.deepEqual(clock.sleepers(), []);
  });

  it("that fails leaves the old credentials, until 60 seconds before their end", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    const { accessKeyId, expiresAtMs } = goodOf(await credentials.obtain(stage.wanted(pod)));
    stage.aws.set({ faults: { serverErrors: 10_000 } });
    let served = 0;
    while (expiresAtMs - clock.now() > 0) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- time passes in between
      const result = await credentials.obtain(stage.wanted(pod));
      if (result.status === "good") {
        served += 1;
        assert.equal(result.credentials.accessKeyId, accessKeyId);
        assert.ok(expiresAtMs - clock.now() > MINUTE_MS, "Expected more than a minute of life");
      } else {
        assert.ok(expiresAtMs - clock.now() <= MINUTE_MS, "Expected the old ones until then");
        assert.equal(failureOf(result), "unavailable InternalFailure");
      }
      clock.advance(10_000);
    }
    assert.equal(served, 6 * 59);
    // STS is back: the next who asks after the pause gets new ones.
    stage.aws.set({ faults: {} });
    await stage.writeToken(pod);
    clock.advance(60_000);
    assert.notEqual(goodOf(await credentials.obtain(stage.wanted(pod))).accessKeyId, accessKeyId);
  });

  it("ends with the pod, and a call that was under way gives its successor nothing", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    stage.aws.set({ faults: { latencyMs: 300 } });
    const asked = credentials.obtain(stage.wanted(pod));
    await until("it waits", () => clock.sleepers().includes(300));
    credentials.forgetPod(pod.podUid);
    clock.advance(300);
    assert.equal(failureOf(await asked), "unavailable PodGone");
    assert.equal(credentials.size, 0);
  });

  it("goes by the time that has passed when the clock is set back", async () => {
    let monotonicMs = 0;
    using credentials = stage.start({ monotonicNow: () => monotonicMs });
    const pod = await stage.readyPod();
    const first = goodOf(await credentials.obtain(stage.wanted(pod)));
    // An hour has passed, which the clock does not know.
    monotonicMs += 59 * MINUTE_MS + 1;
    await stage.writeToken(pod);
    assert.notEqual(
      goodOf(await credentials.obtain(stage.wanted(pod))).accessKeyId,
      first.accessKeyId,
    );
  });

  it("never hands out what is nearly over when it comes", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    stage.aws.set({ clockOffsetSeconds: -3545 });
    try {
      await stage.writeToken(pod, stage.tokenOf(pod, { iat: 1_700_000_000 }));
      const result = await credentials.obtain(stage.wanted(pod));
      assert.equal(failureOf(result), "unavailable CredentialsExpired");
    } finally {
      stage.aws.set({ clockOffsetSeconds: 0 });
    }
  });
});
