import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { connect } from "../../lib/kube/connection.ts";
import { failureOf } from "../../test/fakes/credential-result.ts";
import {
  startCredentialStage,
  TOKEN_VOLUME,
  type StagePod,
} from "../../test/fakes/credential-stage.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { startTokenRequestServer } from "../../test/fakes/token-request-server.ts";
import { requestedTokenSource } from "./requested-token.ts";

// Signed calls, which set the stage and prove credentials, go by the system's clock.
const clock = createMovedClock(Math.floor(Date.now() / 1000) * 1000);
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const stage = resources.use(await startCredentialStage(clock));

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
        const other = await stage.readyPod({ serviceAccountUid: pod.serviceAccountUid });
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
      using credentials = stage.start();
      const pod = stage.newPod();
      await spoil(pod);
      const calls = await stage.exchangesDuring(async () => {
        const result = await credentials.obtain(stage.wanted(pod));
        assert.match(failureOf(result), /^(?:token-missing|unavailable) NoPodToken$/);
        assert.ok(result.status === "failed" && !result.message.includes("nonsense"));
      });
      assert.equal(calls, 0);
    });
  }

  for (const podUid of ["..", "../../../etc", "a/b", "", "a".repeat(200)]) {
    it(`never looks outside kubelet's folder for ${JSON.stringify(podUid)}`, async () => {
      using credentials = stage.start();
      const result = await credentials.obtain(stage.wanted(stage.newPod({ podUid })));
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
      using credentials = stage.start({
        tokenSources: [requestedTokenSource({ connection, timeoutMs: 10_000 })],
      });
      assert.equal(failureOf(await credentials.obtain(stage.wanted(pod))), failure);
    });
  }

  it("is unknown when no API server answers", async () => {
    const connection = connect({ kubeApi: "http://127.0.0.1:1" });
    using credentials = stage.start({
      tokenSources: [requestedTokenSource({ connection, timeoutMs: 10_000 })],
    });
    const result = await credentials.obtain(stage.wanted(stage.newPod()));
    assert.equal(failureOf(result), "unavailable NoPodToken");
  });
});
