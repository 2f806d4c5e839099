import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { decodeJwt } from "jose";
import { connect } from "../../lib/kube/connection.ts";
import type { CredentialRequest } from "../../metadata-shim/credentials/credentials.ts";
import type { PodTokenSource } from "../../metadata-shim/credentials/pod-token.ts";
import { requestedTokenSource } from "../../metadata-shim/credentials/requested-token.ts";
import { missingComponents } from "./components.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";

const skip = (await missingComponents(process.env)) ?? false;
const AUDIENCE = "sts.amazonaws.com";

// What the metadata shim asks of a real API server, in place of kubelet's files.
describe("tokens that the shim requests", { skip }, () => {
  let plane: ControlPlane;
  let tokenOf: PodTokenSource;
  let request: CredentialRequest;
  before(async () => {
    plane = await startControlPlane({ issuers: ["https://oidc.example.test"] });
    await plane.createServiceAccount("apps", "reader");
    await plane.createServiceAccount("apps", "writer");
    const { core } = plane.admin;
    const account = await core.readNamespacedServiceAccount({ namespace: "apps", name: "reader" });
    const { metadata } = await core.createNamespacedPod({
      namespace: "apps",
      body: {
        metadata: { name: "reader-0" },
        spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "app" }] },
      },
    });
    const connection = connect({ kubeconfig: plane.kubeconfig });
    tokenOf = requestedTokenSource({ connection, timeoutMs: 30_000 });
    request = {
      caller: {
        podUid: metadata?.uid ?? "",
        podName: "reader-0",
        namespace: "apps",
        serviceAccount: "reader",
      },
      role: {
        roleArn: "arn:aws:iam::111122223333:role/app",
        audience: AUDIENCE,
        serviceAccountUid: account.metadata?.uid ?? "",
      },
    };
  });
  after(() => plane?.[Symbol.asyncDispose]());

  it("are for the audience alone, bound to the pod, for ten minutes", async () => {
    const found = await tokenOf(request);
    assert.ok(found.status === "found", JSON.stringify(found));
    const { aud, iat = 0, exp = 0, ...claims } = decodeJwt<Record<string, unknown>>(found.token);
    assert.deepEqual([aud, exp - iat], [[AUDIENCE], 600]);
    const { pod } = claims["kubernetes.io"] as { pod: unknown };
    assert.deepEqual(pod, { name: "reader-0", uid: request.caller.podUid });
  });

  for (const [name, change, wanted] of [
    ["a pod that is gone", { podName: "reader-1" }, /answered 404: pods "reader-1" not found/],
    [
      "a pod that was made anew",
      { podUid: "00000000-0000-4000-8000-000000000000" },
      /answered 409: .*does not match the UID in record/,
    ],
    [
      "a pod of another ServiceAccount",
      { serviceAccount: "writer" },
      /answered 400: .*pod running with different serviceaccount name/,
    ],
    ["a ServiceAccount that is gone", { serviceAccount: "nobody" }, /answered 404: .*nobody/],
  ] as const) {
    it(`are none for ${name}`, async () => {
      const token = await tokenOf({ ...request, caller: { ...request.caller, ...change } });
      assert.ok(token.status === "missing", JSON.stringify(token));
      assert.match(token.message, wanted);
    });
  }

  it("are none for an earlier ServiceAccount of the name", async () => {
    const role = { ...request.role, serviceAccountUid: "before" };
    const token = await tokenOf({ ...request, role });
    assert.ok(token.status === "missing", JSON.stringify(token));
    assert.match(token.message, /earlier ServiceAccount/);
  });
});
