import assert from "node:assert/strict";
import { describe, it } from "node:test";
import jsonPatch from "fast-json-patch";
import {
  account,
  bare,
  env,
  FINE,
  namespaceWith,
  ROLE,
  settings,
} from "../../test/fakes/fine-pod.ts";
import { mutationOf } from "../../webhook/mutation/mutation.ts";
import { parsePod } from "../../webhook/pod/pod.ts";
import { explainPod } from "./explain-pod.ts";

describe("explainPod", () => {
  it("is fine when nothing keeps the pod from its identity", () => {
    const { fine, verdict, next } = explainPod(FINE, settings);
    assert.deepEqual(
      { fine, verdict, next },
      { fine: true, verdict: `Pod team/web has the AWS identity ${ROLE}.`, next: undefined },
    );
  });

  it("is fine for a pod that brings its own web identity", () => {
    const serviceAccountToken = { audience: "sts.amazonaws.com", path: "token" };
    const pod = bare({
      spec: {
        volumes: [{ name: "mine", projected: { sources: [{ serviceAccountToken }] } }],
        containers: [
          {
            name: "app",
            env: [env("AWS_ROLE_ARN", ROLE), env("AWS_WEB_IDENTITY_TOKEN_FILE", "/mine/token")],
            volumeMounts: [{ name: "mine", mountPath: "/mine" }],
          },
        ],
      },
    });
    const change = { pod, serviceAccount: account({}), namespaceObject: namespaceWith({}) };
    assert.equal(explainPod({ ...FINE, ...change }, settings).fine, true);
  });

  it("says of a pod with kube2iam's annotation what the webhook does for the shim", () => {
    const forShim = { ...settings, shimAnnotation: "iam.amazonaws.com/role" };
    const pod = bare({ metadata: { annotations: { "iam.amazonaws.com/role": "reader" } } });
    const serviceAccount = { status: "found", annotations: {} } as const;
    const decided = mutationOf({ pod: parsePod(pod), serviceAccount, settings: forShim });
    const patched = jsonPatch.applyPatch(
      structuredClone(pod),
      structuredClone([...decided.operations]),
      true,
    ).newDocument;
    for (const seen of [pod, patched]) {
      const { steps } = explainPod({ ...FINE, pod: seen, serviceAccount: account({}) }, forShim);
      assert.deepEqual(
        steps.find(({ id }) => id === "decision"),
        {
          id: "decision",
          status: "note",
          found: "it would get a token for the metadata shim, and no identity of its own",
          meaning: "The shim on its node decides on its role.",
        },
      );
    }
  });

  it("names the first cause and the first command", () => {
    const change = { pod: bare(), namespaceObject: namespaceWith({}), serviceAccount: account({}) };
    const { fine, verdict, next } = explainPod({ ...FINE, ...change }, settings);
    assert.equal(fine, false);
    assert.match(verdict, /Namespace label: no irsa-anywhere\.io\/injection\.$/);
    assert.match(next ?? "", /^kubectl label namespace team/);
  });

  it("looks at everything in the order in which an identity comes about", () => {
    const ids = explainPod(FINE, settings).steps.map(({ id }) => id);
    assert.equal(new Set(ids).size, 15);
    assert.deepEqual([ids[0], ids.at(-1)], ["namespace-label", "events"]);
  });
});
