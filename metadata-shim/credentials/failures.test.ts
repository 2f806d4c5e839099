import assert from "node:assert/strict";
import { after, afterEach, describe, it } from "node:test";
import { failureOf, goodOf } from "../../test/fakes/credential-result.ts";
import { startCredentialStage } from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { until } from "../../test/fakes/until.ts";

// Signed calls, which set the stage and prove credentials, go by the system's clock.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));
afterEach(() => stage.aws.set({ faults: {} }));

describe("a failure", () => {
  it("is told to all who ask during its pause, and the pauses grow", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    const request = stage.wanted(pod, { roleArn: "arn:aws:iam::111122223333:role/untrusting" });
    const ask = (): Promise<number> =>
      stage.exchangesDuring(async () => {
        const results = await Promise.all([1, 2, 3].map(async () => credentials.obtain(request)));
        for (const result of results) assert.equal(failureOf(result), "refused AccessDenied");
      });
    const calls: number[] = [];
    for (let second = 0; second < 60; second += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- time passes in between
      if ((await ask()) > 0) calls.push(second);
      clock.advance(1000);
    }
    // Pauses of 3.75, 7.5, 15, 30 seconds, and one call at the end of each.
    assert.deepEqual(calls, [0, 4, 12, 27, 57]);
  });

  for (const [name, faults, failure, calls] of [
    ["throttled", { throttles: 1 }, "throttled Throttling", 1],
    ["a server error", { serverErrors: 1 }, "unavailable InternalFailure", 1],
    ["no issuer", { idpCommunicationErrors: 1 }, "unavailable IDPCommunicationError", 1],
    ["two cut connections", { droppedConnections: 2 }, "unavailable ConnectionCut", 2],
  ] as const) {
    it(`is ${name}`, async () => {
      using credentials = stage.start();
      const request = stage.wanted(await stage.readyPod());
      const made = await stage.exchangesDuring(async () => {
        stage.aws.set({ faults });
        assert.equal(failureOf(await credentials.obtain(request)), failure);
      });
      assert.equal(made, calls);
    });
  }

  it("is not one cut connection", async () => {
    using credentials = stage.start();
    stage.aws.set({ faults: { droppedConnections: 1 } });
    goodOf(await credentials.obtain(stage.wanted(await stage.readyPod())));
  });

  it("is an STS that never answers: who asks waits no longer than its patience", async () => {
    using credentials = stage.start({ stsTimeoutMs: 200 });
    const request = stage.wanted(await stage.readyPod());
    stage.aws.set({ faults: { latencyMs: 600_000 } });
    const result = credentials.obtain(request);
    await until("it waits", () => clock.sleepers().includes(750));
    clock.advance(750);
    assert.match(failureOf(await result), /^unavailable (?:Pending|Timeout)$/);
    await until("the call has ended", async () => {
      const later = Promise.resolve(credentials.obtain(request));
      clock.advance(0);
      return Promise.race([
        later.then((ended) => ended.status === "failed" && ended.code === "Timeout"),
        new Promise<false>((resolve) => setImmediate(() => resolve(false))),
      ]);
    });
  });

  it("of one throttled account keeps this node from asking for that account only", async () => {
    using credentials = stage.start();
    const [a, b, c] = [await stage.readyPod(), await stage.readyPod(), await stage.readyPod()];
    stage.aws.set({ faults: { throttles: 1 } });
    const calls = await stage.exchangesDuring(async () => {
      assert.equal(failureOf(await credentials.obtain(stage.wanted(a))), "throttled Throttling");
      assert.equal(failureOf(await credentials.obtain(stage.wanted(b))), "throttled NodeBudget");
      const roleArn = "arn:aws:iam::444455556666:role/app";
      const other = await credentials.obtain(stage.wanted(c, { roleArn }));
      assert.equal(failureOf(other), "refused InvalidIdentityToken");
      clock.advance(3000);
      goodOf(await credentials.obtain(stage.wanted(b)));
    });
    assert.equal(calls, 3);
  });

  it("is the budget of the node: more pods than that wait for their turn", async () => {
    using credentials = stage.start({ budget: { burst: 2, perMinute: 60 } });
    const pods = await Promise.all([stage.readyPod(), stage.readyPod(), stage.readyPod()]);
    const results = await Promise.all(
      pods.map(async (pod) => credentials.obtain(stage.wanted(pod))),
    );
    const failures = results.filter(({ status }) => status === "failed");
    assert.deepEqual(failures.map(failureOf), ["throttled NodeBudget"]);
    clock.advance(2000);
    for (const pod of pods) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      goodOf(await credentials.obtain(stage.wanted(pod)));
    }
  });

  it("is a role that is none", async () => {
    using credentials = stage.start();
    const request = stage.wanted(await stage.readyPod(), { roleArn: "arn:bad" });
    assert.equal(failureOf(await credentials.obtain(request)), "refused InvalidRoleArn");
  });
});
