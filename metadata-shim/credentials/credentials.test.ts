import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, afterEach, describe, it } from "node:test";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { connect } from "../../lib/kube/connection.ts";
import { stsClient } from "../../test/aws/fixtures/sdk-clients.ts";
import {
  startCredentialStage,
  TOKEN_VOLUME,
  type StagePod,
} from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { startTokenRequestServer } from "../../test/fakes/token-request-server.ts";
import { until } from "../../test/fakes/until.ts";
import { withEnvironment } from "../../test/fakes/with-environment.ts";
import type { CredentialRequest, CredentialResult, Credentials } from "./credentials.ts";
import { kubeletTokenSource } from "./kubelet-token.ts";
import { requestedTokenSource } from "./requested-token.ts";
import { startCredentials, type CredentialsOptions } from "./start-credentials.ts";

const MINUTE_MS = 60_000;
// Signed calls, which set the stage and prove credentials, go by the system's clock.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));
afterEach(() => stage.aws.set({ faults: {} }));

function start(changes: Partial<CredentialsOptions> = {}): ReturnType<typeof startCredentials> {
  return startCredentials({
    tokenSources: [kubeletTokenSource({ kubeletRoot: stage.kubelet.root, ...TOKEN_VOLUME })],
    region: "eu-central-1",
    endpoint: stage.aws.sts,
    caPem: stage.aws.caPem,
    stsTimeoutMs: 10_000,
    durationSeconds: 3600,
    budget: { burst: 300, perMinute: 300 },
    patienceMs: 750,
    clock,
    monotonicNow: () => clock.now(),
    random: () => 0.5,
    ...changes,
  });
}

function wanted(pod: StagePod, role: Partial<CredentialRequest["role"]> = {}): CredentialRequest {
  const { serviceAccountUid } = pod;
  const audience = "sts.amazonaws.com";
  return { caller: pod, role: { roleArn: stage.roleArn, audience, serviceAccountUid, ...role } };
}

async function readyPod(names: Partial<StagePod> = {}): Promise<StagePod> {
  const pod = stage.newPod(names);
  await stage.writeToken(pod);
  return pod;
}

function goodOf(result: CredentialResult): Credentials {
  assert.ok(result.status === "good", JSON.stringify(result));
  return result.credentials;
}

function failureOf(result: CredentialResult): string {
  assert.ok(result.status === "failed", "Expected a failure");
  return `${result.kind} ${result.code}`;
}

/** How many calls of STS `act` causes. */
async function exchangesDuring(act: () => Promise<unknown>): Promise<number> {
  const before = stage.exchanges().length;
  await act();
  return stage.exchanges().length - before;
}

/** Lets what was started by a moved clock come to its end over real sockets. */
function settled(calls: number): Promise<void> {
  return until(`there were ${calls} calls`, () => stage.exchanges().length >= calls);
}

describe("credentials of a pod", () => {
  it("are those of its role, and the session names the pod", async () => {
    using credentials = start();
    const pod = await readyPod({ podName: "web-0" });
    const { accessKeyId, secretAccessKey, sessionToken, ...times } = goodOf(
      await credentials.obtain(wanted(pod)),
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
    using credentials = start();
    const pod = await readyPod();
    const role = { sessionName: `team/a b ${"x".repeat(80)}` };
    const { accessKeyId, secretAccessKey, sessionToken } = goodOf(
      await credentials.obtain(wanted(pod, role)),
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
      using credentials = start();
      goodOf(await credentials.obtain(wanted(await readyPod())));
      assert.equal(stage.exchanges().at(-1)?.principal, undefined);
    });
  });

  it("come from the endpoint that the SDKs' own variable names", async () => {
    await withEnvironment({ AWS_ENDPOINT_URL_STS: stage.aws.sts }, async () => {
      using credentials = start({ endpoint: undefined });
      goodOf(await credentials.obtain(wanted(await readyPod())));
    });
  });

  it("are never shared by two pods, not even of one ServiceAccount", async () => {
    using credentials = start();
    const [a, b] = [await readyPod(), await readyPod()];
    const twin = { ...b, serviceAccountUid: a.serviceAccountUid };
    await stage.writeToken(twin);
    const keys = new Set<string>();
    const calls = await exchangesDuring(async () => {
      for (const pod of [a, twin, a, twin]) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in turns
        keys.add(goodOf(await credentials.obtain(wanted(pod))).accessKeyId);
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
      using credentials = start();
      const pod = await readyPod();
      const calls = await exchangesDuring(async () => {
        await credentials.obtain(wanted(pod));
        await credentials.obtain(wanted(pod, change));
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
    using credentials = start({
      tokenSources: [
        kubeletTokenSource({ kubeletRoot: stage.kubelet.root, ...TOKEN_VOLUME }),
        requestedTokenSource({ connection, timeoutMs: 10_000 }),
      ],
    });
    const keys = new Set<string>();
    const calls = await exchangesDuring(async () => {
      const results = await Promise.all(
        Array.from({ length: 100 }, async () => credentials.obtain(wanted(stagePod))),
      );
      for (const result of results) keys.add(goodOf(result).accessKeyId);
    });
    assert.deepEqual([server.made, calls, keys.size], [1, 1, 1]);
  });

  it("share also a call whose first caller has lost patience", async () => {
    using credentials = start();
    const pod = await readyPod();
    stage.aws.set({ faults: { latencyMs: 2000 } });
    const calls = await exchangesDuring(async () => {
      const first = credentials.obtain(wanted(pod));
      await until("it waits", () => clock.sleepers().includes(2000));
      clock.advance(750);
      assert.equal(failureOf(await first), "unavailable Pending");
      const second = credentials.obtain(wanted(pod));
      await until("the second waits", () => clock.sleepers().includes(750));
      clock.advance(1250);
      await until("it is answered", () => stage.exchanges().length > 0);
      // Who comes second may lose patience just then too; nobody asks STS again.
      await second;
      goodOf(await credentials.obtain(wanted(pod)));
    });
    assert.equal(calls, 1);
  });
});

describe("a token that must not be exchanged", () => {
  for (const [name, spoil] of [
    ["is not there", async () => {}],
    ["is of another pod", (pod) => stage.writeToken(pod, stage.tokenOf(stage.newPod()))],
    [
      "is of another ServiceAccount",
      (pod) => stage.writeToken(pod, stage.tokenOf({ ...pod, serviceAccount: "other" })),
    ],
    [
      "is of another namespace",
      (pod) => stage.writeToken(pod, stage.tokenOf({ ...pod, namespace: "other" })),
    ],
    [
      "is of an earlier ServiceAccount of the name",
      (pod) => stage.writeToken(pod, stage.tokenOf({ ...pod, serviceAccountUid: "before" })),
    ],
    [
      "is for another audience",
      (pod) => stage.writeToken(pod, stage.tokenOf(pod, { aud: ["https://kubernetes"] })),
    ],
    [
      "is for two audiences",
      (pod) => stage.writeToken(pod, stage.tokenOf(pod, { aud: ["sts.amazonaws.com", "other"] })),
    ],
    ["is bound to no pod", (pod) => stage.writeToken(pod, stage.cluster.token())],
    ["is no token", (pod) => stage.writeToken(pod, "nonsense")],
    ["is empty", (pod) => stage.writeToken(pod, "")],
    ["is too long", (pod) => stage.writeToken(pod, `${"e".repeat(20_000)}.e.e`)],
    [
      "is a link to another pod's",
      async (pod) => {
        const other = await readyPod({ serviceAccountUid: pod.serviceAccountUid });
        const folder = stage.kubelet.volume(pod.podUid, TOKEN_VOLUME.volumeName);
        const target = stage.kubelet.volume(other.podUid, TOKEN_VOLUME.volumeName);
        await mkdir(folder, { recursive: true });
        await symlink(join(target, "token"), join(folder, "token"));
      },
    ],
    [
      "is a folder",
      async (pod) => {
        const folder = stage.kubelet.volume(pod.podUid, TOKEN_VOLUME.volumeName);
        await mkdir(join(folder, "token"), { recursive: true });
      },
    ],
    [
      "is in a file where a folder should be",
      async (pod) => {
        await mkdir(join(stage.kubelet.root, "pods"), { recursive: true });
        await writeFile(join(stage.kubelet.root, "pods", pod.podUid), "");
      },
    ],
  ] as const satisfies readonly (readonly [string, (pod: StagePod) => Promise<void>])[]) {
    it(`${name}: no call of STS`, async () => {
      using credentials = start();
      const pod = stage.newPod();
      await spoil(pod);
      const calls = await exchangesDuring(async () => {
        const result = await credentials.obtain(wanted(pod));
        assert.match(failureOf(result), /^(?:token-missing|unavailable) NoPodToken$/);
        assert.ok(result.status === "failed" && !result.message.includes("nonsense"));
      });
      assert.equal(calls, 0);
    });
  }

  for (const podUid of ["..", "../../../etc", "a/b", "", "a".repeat(200)]) {
    it(`never looks outside kubelet's folder for ${JSON.stringify(podUid)}`, async () => {
      using credentials = start();
      const result = await credentials.obtain(wanted(stage.newPod({ podUid })));
      assert.equal(failureOf(result), "token-missing NoPodToken");
      assert.ok(result.status === "failed" && result.message.includes("no UID"));
    });
  }
});

describe("a token of the API server", () => {
  for (const [name, put, failure] of [
    ["the pod is gone", () => undefined, "token-missing NoPodToken"],
    [
      "the pod was made anew",
      (pod: StagePod) => ({ ...pod, podUid: "another" }),
      "token-missing NoPodToken",
    ],
    [
      "the pod runs as another",
      (pod: StagePod) => ({ ...pod, serviceAccount: "other" }),
      "token-missing NoPodToken",
    ],
  ] as const) {
    it(`is none when ${name}`, async () => {
      await using server = await startTokenRequestServer(() => assert.fail("Expected a refusal"));
      const pod = stage.newPod();
      const there = put(pod);
      if (there !== undefined) server.pods.set(pod.podName, there);
      const connection = connect({ kubeApi: server.url });
      using credentials = start({
        tokenSources: [requestedTokenSource({ connection, timeoutMs: 10_000 })],
      });
      assert.equal(failureOf(await credentials.obtain(wanted(pod))), failure);
    });
  }

  it("is unknown when no API server answers", async () => {
    const connection = connect({ kubeApi: "http://127.0.0.1:1" });
    using credentials = start({
      tokenSources: [requestedTokenSource({ connection, timeoutMs: 10_000 })],
    });
    const result = await credentials.obtain(wanted(stage.newPod()));
    assert.equal(failureOf(result), "unavailable NoPodToken");
  });
});

describe("a failure", () => {
  it("is told to all who ask during its pause, and the pauses grow", async () => {
    using credentials = start();
    const pod = await readyPod();
    const request = wanted(pod, { roleArn: "arn:aws:iam::111122223333:role/untrusting" });
    const ask = (): Promise<number> =>
      exchangesDuring(async () => {
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
      using credentials = start();
      const request = wanted(await readyPod());
      const made = await exchangesDuring(async () => {
        stage.aws.set({ faults });
        assert.equal(failureOf(await credentials.obtain(request)), failure);
      });
      assert.equal(made, calls);
    });
  }

  it("is not one cut connection", async () => {
    using credentials = start();
    stage.aws.set({ faults: { droppedConnections: 1 } });
    goodOf(await credentials.obtain(wanted(await readyPod())));
  });

  it("is an STS that never answers: who asks waits no longer than its patience", async () => {
    using credentials = start({ stsTimeoutMs: 200 });
    const request = wanted(await readyPod());
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
    using credentials = start();
    const [a, b, c] = [await readyPod(), await readyPod(), await readyPod()];
    stage.aws.set({ faults: { throttles: 1 } });
    const calls = await exchangesDuring(async () => {
      assert.equal(failureOf(await credentials.obtain(wanted(a))), "throttled Throttling");
      assert.equal(failureOf(await credentials.obtain(wanted(b))), "throttled NodeBudget");
      const roleArn = "arn:aws:iam::444455556666:role/app";
      const other = await credentials.obtain(wanted(c, { roleArn }));
      assert.equal(failureOf(other), "refused InvalidIdentityToken");
      clock.advance(3000);
      goodOf(await credentials.obtain(wanted(b)));
    });
    assert.equal(calls, 3);
  });

  it("is the budget of the node: more pods than that wait for their turn", async () => {
    using credentials = start({ budget: { burst: 2, perMinute: 60 } });
    const pods = await Promise.all([readyPod(), readyPod(), readyPod()]);
    const results = await Promise.all(pods.map(async (pod) => credentials.obtain(wanted(pod))));
    const failures = results.filter(({ status }) => status === "failed");
    assert.deepEqual(failures.map(failureOf), ["throttled NodeBudget"]);
    clock.advance(2000);
    for (const pod of pods) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      goodOf(await credentials.obtain(wanted(pod)));
    }
  });

  it("is a role that is none", async () => {
    using credentials = start();
    const request = wanted(await readyPod(), { roleArn: "arn:bad" });
    assert.equal(failureOf(await credentials.obtain(request)), "refused InvalidRoleArn");
  });
});

describe("renewal", () => {
  it("happens at half life, before anybody asks again", async () => {
    using credentials = start();
    const pod = await readyPod();
    const first = goodOf(await credentials.obtain(wanted(pod)));
    const before = stage.exchanges().length;
    clock.advance(26 * MINUTE_MS);
    assert.equal(goodOf(await credentials.obtain(wanted(pod))).accessKeyId, first.accessKeyId);
    assert.equal(stage.exchanges().length, before);
    await stage.writeToken(pod);
    clock.advance(2 * MINUTE_MS);
    await settled(before + 1);
    await until("the new ones serve", async () => {
      const { accessKeyId } = goodOf(await credentials.obtain(wanted(pod)));
      return accessKeyId !== first.accessKeyId;
    });
  });

  it("is not for what nobody asked for since, and what is left goes away", async () => {
    using credentials = start();
    const pod = await readyPod();
    const before = stage.exchanges().length;
    await credentials.obtain(wanted(pod));
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
    using credentials = start();
    const pod = await readyPod();
    const { accessKeyId, expiresAtMs } = goodOf(await credentials.obtain(wanted(pod)));
    stage.aws.set({ faults: { serverErrors: 10_000 } });
    let served = 0;
    while (expiresAtMs - clock.now() > 0) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- time passes in between
      const result = await credentials.obtain(wanted(pod));
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
    assert.notEqual(goodOf(await credentials.obtain(wanted(pod))).accessKeyId, accessKeyId);
  });

  it("ends with the pod, and a call that was under way gives its successor nothing", async () => {
    using credentials = start();
    const pod = await readyPod();
    stage.aws.set({ faults: { latencyMs: 300 } });
    const asked = credentials.obtain(wanted(pod));
    await until("it waits", () => clock.sleepers().includes(300));
    credentials.forgetPod(pod.podUid);
    clock.advance(300);
    assert.equal(failureOf(await asked), "unavailable PodGone");
    assert.equal(credentials.size, 0);
  });

  it("goes by the time that has passed when the clock is set back", async () => {
    let monotonicMs = 0;
    using credentials = start({ monotonicNow: () => monotonicMs });
    const pod = await readyPod();
    const first = goodOf(await credentials.obtain(wanted(pod)));
    // An hour has passed, which the clock does not know.
    monotonicMs += 59 * MINUTE_MS + 1;
    await stage.writeToken(pod);
    assert.notEqual(goodOf(await credentials.obtain(wanted(pod))).accessKeyId, first.accessKeyId);
  });

  it("never hands out what is nearly over when it comes", async () => {
    using credentials = start();
    const pod = await readyPod();
    stage.aws.set({ clockOffsetSeconds: -3545 });
    try {
      await stage.writeToken(pod, stage.tokenOf(pod, { iat: 1_700_000_000 }));
      const result = await credentials.obtain(wanted(pod));
      assert.equal(failureOf(result), "unavailable CredentialsExpired");
    } finally {
      stage.aws.set({ clockOffsetSeconds: 0 });
    }
  });
});
