import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { createAuthority } from "../../lib/certificates.ts";
import { isPatchOutdated } from "../../lib/kube/api-status.ts";
import { connect, type KubeAnswer, type KubeConnection } from "../../lib/kube/connection.ts";
import {
  caBundlePatch,
  WebhookConfigurationObject,
} from "../../webhook/certificates/ca-bundle-patch.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { missingComponents } from "./components.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";

const skip = (await missingComponents(process.env)) ?? false;
const COLLECTION = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const TIMEOUT_MS = 30_000;

describe("a CA bundle that is patched on a real API server", { skip }, () => {
  let plane: ControlPlane;
  let kube: KubeConnection;
  let caPem: string;
  let stored: WebhookConfigurationObject;
  before(async () => {
    plane = await startControlPlane();
    kube = connect({ kubeconfig: plane.kubeconfig });
    const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
    caPem = (await createAuthority("Test CA", validity)).cert;
    const clientConfig = { url: "https://127.0.0.1:9" };
    const body = mutatingWebhookConfiguration({ name: "irsa-anywhere", clientConfig });
    const request = { method: "POST", path: COLLECTION, body, timeoutMs: TIMEOUT_MS };
    stored = WebhookConfigurationObject.parse((await kube.request(request)).body);
  });
  after(() => plane?.[Symbol.asyncDispose]());

  function patch(operations: readonly object[]): Promise<KubeAnswer> {
    return kube.request({
      method: "PATCH",
      path: `${COLLECTION}/irsa-anywhere`,
      contentType: "application/json-patch+json",
      body: operations,
      timeoutMs: TIMEOUT_MS,
    });
  }

  it("is not outdated when the API server finds the object invalid", async () => {
    const invalid = { op: "replace", path: "/webhooks/0/failurePolicy", value: "Never" };
    const { status, body } = await patch([...caBundlePatch(stored, caPem), invalid]);
    assert.deepEqual([status, isPatchOutdated(status, body)], [422, false], JSON.stringify(body));
  });

  it("is set by a patch of the version that is stored, and outdated afterwards", async () => {
    const operations = caBundlePatch(stored, caPem);
    assert.equal((await patch(operations)).status, 200);
    const { status, body } = await patch(operations);
    assert.deepEqual([status, isPatchOutdated(status, body)], [422, true], JSON.stringify(body));
  });

  it("is outdated when a webhook is not there any more", async () => {
    const path = "/webhooks/9/clientConfig/caBundle";
    const { status, body } = await patch([{ op: "add", path, value: "" }]);
    assert.deepEqual([status, isPatchOutdated(status, body)], [422, true], JSON.stringify(body));
  });
});
