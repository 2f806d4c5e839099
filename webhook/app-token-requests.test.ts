import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { serveWebhook } from "../test/fakes/served-webhook.ts";
import { AppError } from "../lib/errors.ts";

const tokenReview = {
  apiVersion: "admission.k8s.io/v1",
  kind: "AdmissionReview",
  request: {
    uid: "u-2",
    namespace: "team",
    operation: "CREATE",
    resource: { group: "", version: "v1", resource: "serviceaccounts" },
    subResource: "token",
    userInfo: {
      username: "system:serviceaccount:irsa-system:irsa-shim",
      extra: { "authentication.kubernetes.io/node-name": ["node-a"] },
    },
    object: { spec: { boundObjectRef: { kind: "Pod", name: "app-0", uid: "uid-1" } } },
  },
};

describe("POST /validate/token-requests", () => {
  const path = "/validate/token-requests";

  it("allows a token of a pod on the caller's node, and refuses one of another", async () => {
    const nodes = new Map([
      ["team/app-0", "node-a"],
      ["other/app-0", "node-b"],
    ]);
    await using served = await serveWebhook({
      placeOf: async (namespace, name) => ({
        uid: "uid-1",
        nodeName: nodes.get(`${namespace}/${name}`),
      }),
    });
    const answerIn = async (namespace: string) => {
      const body = { ...tokenReview, request: { ...tokenReview.request, namespace } };
      const answer = await served.send({ path, body: JSON.stringify(body) });
      return JSON.parse(answer.body).response;
    };
    assert.deepEqual(await answerIn("team"), {
      uid: "u-2",
      allowed: true,
      auditAnnotations: { decision: "allowed" },
    });
    const message =
      'Cannot make a token for pod "other/app-0": it is on another node, the caller on "node-a"';
    assert.deepEqual(await answerIn("other"), {
      uid: "u-2",
      allowed: false,
      status: { metadata: {}, message, reason: "Forbidden", code: 403 },
      auditAnnotations: { decision: "denied" },
    });
    assert.equal(served.log.find(({ msg }) => msg === "Refused a token")?.["problem"], message);
    const metrics = await served.registry.metrics();
    assert.match(metrics, /irsa_webhook_token_requests_total\{outcome="allowed"\} 1/);
    assert.match(metrics, /irsa_webhook_token_requests_total\{outcome="denied"\} 1/);
  });

  it("refuses while nobody can say where the pod is", async () => {
    await using served = await serveWebhook({
      placeOf: async () => {
        throw new AppError("KUBERNETES_UNAVAILABLE", 503, "Cannot reach the API server");
      },
    });
    const { body } = await served.send({ path, body: JSON.stringify(tokenReview) });
    const { allowed, status } = JSON.parse(body).response;
    assert.equal(allowed, false);
    assert.equal(
      status.message,
      "Cannot make a token while its pod cannot be read: Cannot reach the API server",
    );
  });
});
