import assert from "node:assert/strict";
import { after, afterEach, describe, it } from "node:test";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { connect } from "../../lib/kube/connection.ts";
import { stsClient } from "../../test/aws/fixtures/sdk-clients.ts";
import { failureOf, goodOf } from "../../test/fakes/credential-result.ts";
import { startCredentialStage, TOKEN_VOLUME } from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { startTokenRequestServer } from "../../test/fakes/token-request-server.ts";
import { until } from "../../test/fakes/until.ts";
import { withEnvironment } from "../../test/fakes/with-environment.ts";
import { kubeletTokenSource } from "./kubelet-token.ts";
import { requestedTokenSource } from "./requested-token.ts";

const MINUTE_MS = 60_000;
// Signed calls, which set the stage and prove credentials, go by the system's clock.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));
afterEach(() => stage.aws.set({ faults: {} }));

describe("credentials of a pod", () => {
  it("are those of its role, and the session names the pod", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod({ podName: "web-0" });
    const { accessKeyId, secretAccessKey, sessionToken, ...times } = goodOf(
      await credentials.obtain(stage.wanted(pod)),
    );
    assert.deepEqual(times, {
      issuedAtMs: clock.now(),
      expiresAtMs: clock.now() + 60 * MINUTE_MS,
    });
    const sts = stsClient(stage.aws, { accessKeyId, secretAccessKey, sessionToken });
    const { Arn } = await sts.send(new GetCallerIdentityCommand({}));
    assert.equal(Arn, "arn:aws:sts::111122223333:assumed-role/app/payments.web-0");
    const call = stage.exchanges().at(-1);
    assert.equal(call?.webIdentity?.subject, "system:serviceaccount:payments:api");
  });

  it("have the session name of the annotation, made one that STS takes", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    const role = { sessionName: `team/a b ${"x".repeat(80)}` };
    const { accessKeyId, secretAccessKey, sessionToken } = goodOf(
      await credentials.obtain(stage.wanted(pod, role)),
    );
    const sts = stsClient(stage.aws, { accessKeyId, secretAccessKey, sessionToken });
    const { Arn = "" } = await sts.send(new GetCallerIdentityCommand({}));
    assert.match(Arn, /app\/team-a-b-x{44}-[0-9a-f]{10}$/);
  });

  it("are asked for unsigned, whatever credentials the process has", async () => {
    const ambient = {
      AWS_ACCESS_KEY_ID: "AKIAEXAMPLE",
      AWS_SECRET_ACCESS_KEY: "secret",
      AWS_SESSION_TOKEN: "ambient",
    };
    await withEnvironment(ambient, async () => {
      using credentials = stage.start();
      goodOf(await credentials.obtain(stage.wanted(await stage.readyPod())));
      assert.equal(stage.exchanges().at(-1)?.principal, undefined);
    });
  });

  it("come from the endpoint that the SDKs' own variable names", async () => {
    await withEnvironment({ AWS_ENDPOINT_URL_STS: stage.aws.sts }, async () => {
      using credentials = stage.start({ endpoint: undefined });
      goodOf(await credentials.obtain(stage.wanted(await stage.readyPod())));
    });
  });

  it("are never shared by two pods, not even of one ServiceAccount", async () => {
    using credentials = stage.start();
    const [a, b] = [await stage.readyPod(), await stage.readyPod()];
    const twin = { ...b, serviceAccountUid: a.serviceAccountUid };
    await stage.writeToken(twin);
    const keys = new Set<string>();
    const calls = await stage.exchangesDuring(async () => {
      for (const pod of [a, twin, a, twin]) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in turns
        keys.add(goodOf(await credentials.obtain(stage.wanted(pod))).accessKeyId);
      }
    });
    assert.deepEqual([calls, keys.size], [2, 2]);
  });

  for (const [name, change] of [
    ["role", { roleArn: "arn:aws:iam::111122223333:role/other" }],
    ["session name", { sessionName: "other" }],
    ["external id", { externalId: "other" }],
  ] as const) {
    it(`are others for another ${name}`, async () => {
      using credentials = stage.start();
      const pod = await stage.readyPod();
      const calls = await stage.exchangesDuring(async () => {
        await credentials.obtain(stage.wanted(pod));
        await credentials.obtain(stage.wanted(pod, change));
      });
      assert.equal(calls, 2);
    });
  }
});

describe("100 who ask at once", () => {
  it("share one token and one call", async () => {
    await using server = resources.use(
      await startTokenRequestServer((pod, aud) =>
        stage.tokenOf({ ...stagePod, ...pod }, { aud: [...aud] }),
      ),
    );
    const stagePod = stage.newPod();
    server.pods.set(stagePod.podName, stagePod);
    const connection = connect({ kubeApi: server.url });
    using credentials = stage.start({
      tokenSources: [
        kubeletTokenSource({ kubeletRoot: stage.kubelet.root, ...TOKEN_VOLUME }),
        requestedTokenSource({ connection, timeoutMs: 10_000 }),
      ],
    });
    const keys = new Set<string>();
    const calls = await stage.exchangesDuring(async () => {
      const results = await Promise.all(
        Array.from({ length: 100 }, async () => credentials.obtain(stage.wanted(stagePod))),
      );
      for (const result of results) keys.add(goodOf(result).accessKeyId);
    });
    assert.deepEqual([server.made, calls, keys.size], [1, 1, 1]);
  });

  it("share also a call whose first caller has lost patience", async () => {
    using credentials = stage.start();
    const pod = await stage.readyPod();
    stage.aws.set({ faults: { latencyMs: 2000 } });
    const calls = await stage.exchangesDuring(async () => {
      const first = credentials.obtain(stage.wanted(pod));
      await until("it waits", () => clock.sleepers().includes(2000));
      clock.advance(750);
      assert.equal(failureOf(await first), "unavailable Pending");
      const second = credentials.obtain(stage.wanted(pod));
      await until("the second waits", () => clock.sleepers().includes(750));
      clock.advance(1250);
      await until("it is answered", () => stage.exchanges().length > 0);
      // Who comes second may lose patience just then too; nobody asks STS again.
      await second;
      goodOf(await credentials.obtain(stage.wanted(pod)));
    });
    assert.equal(calls, 1);
  });
});
