import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { decodeJwt } from "jose";
import { missingComponents } from "./components.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import type { IssuedToken } from "./service-accounts.ts";

const skip = (await missingComponents(process.env)) ?? false;
const ISSUER = "https://oidc.example.test";
const AUDIENCE = "sts.amazonaws.com";

describe("ServiceAccounts and their tokens", { skip }, () => {
  let plane: ControlPlane;
  before(async () => {
    plane = await startControlPlane({ issuers: [ISSUER], apiAudiences: ["api"] });
    await plane.createServiceAccount("apps", "reader", { "example.test/role": "reader" });
  });
  after(() => plane[Symbol.asyncDispose]());

  /** Whether the API server takes a token, for its own audience or another. */
  async function isAuthenticated(token: string, audiences?: string[]): Promise<boolean> {
    const spec = audiences === undefined ? { token } : { token, audiences };
    const { status } = await plane.admin.authentication.createTokenReview({ body: { spec } });
    return status?.authenticated === true;
  }

  it("are created with annotations, in a namespace that is made when missing", async () => {
    const where = { namespace: "apps", name: "reader" };
    const { metadata } = await plane.admin.core.readNamespacedServiceAccount(where);
    assert.deepEqual(metadata?.annotations, { "example.test/role": "reader" });
    await plane.createServiceAccount("apps", "writer");
    await assert.rejects(plane.createServiceAccount("apps", "writer"), { code: 409 });
  });

  it("a token is for the API server unless it is asked for another audience", async () => {
    const own = await plane.requestToken({ namespace: "apps", serviceAccount: "reader" });
    assert.deepEqual(decodeJwt(own.token).aud, ["api"]);
    const other = await plane.requestToken({
      namespace: "apps",
      serviceAccount: "reader",
      audiences: [AUDIENCE],
      expirationSeconds: 600,
    });
    assert.deepEqual(decodeJwt(other.token).aud, [AUDIENCE]);
    assert.deepEqual(
      [await isAuthenticated(own.token), await isAuthenticated(other.token)],
      [true, false],
    );
    assert.equal(await isAuthenticated(other.token, [AUDIENCE]), true);
  });

  it("a token that is bound to a pod names it, and ends with it", async () => {
    const { metadata } = await plane.admin.core.createNamespacedPod({
      namespace: "apps",
      body: {
        metadata: { name: "reader-0" },
        spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "app" }] },
      },
    });
    const boundPod = { name: "reader-0", uid: metadata?.uid ?? "" };
    const request = (): Promise<IssuedToken> =>
      plane.requestToken({
        namespace: "apps",
        serviceAccount: "reader",
        audiences: [AUDIENCE],
        expirationSeconds: 3600,
        boundPod,
      });
    const { token, expiresAtMs } = await request();
    const { iss, sub, aud, exp = 0, iat = 0, ...others } = decodeJwt(token);
    assert.deepEqual([iss, sub, aud], [ISSUER, "system:serviceaccount:apps:reader", [AUDIENCE]]);
    assert.deepEqual([exp - iat, exp * 1000], [3600, expiresAtMs]);
    const { pod, namespace } = others["kubernetes.io"] as Record<string, unknown>;
    assert.deepEqual({ pod, namespace }, { pod: boundPod, namespace: "apps" });
    assert.equal(await isAuthenticated(token, [AUDIENCE]), true);

    // The API server learns through a watch that the pod is gone, and keeps for 10 seconds what it
    // found of a token. So each token is shown to it once.
    const unseen = await Promise.all(Array.from({ length: 50 }, request));
    const where = { namespace: "apps", name: boundPod.name };
    await plane.admin.core.deleteNamespacedPod({ ...where, gracePeriodSeconds: 0 });
    let isAccepted = true;
    for (let next = unseen.pop(); isAccepted && next !== undefined; next = unseen.pop()) {
      await sleep(20);
      isAccepted = await isAuthenticated(next.token, [AUDIENCE]);
    }
    assert.equal(isAccepted, false);
  });

  it("a token cannot be bound to a pod of another uid", async () => {
    const boundPod = { name: "reader-0", uid: "00000000-0000-0000-0000-000000000000" };
    const asked = plane.requestToken({ namespace: "apps", serviceAccount: "reader", boundPod });
    await assert.rejects(asked, { code: 404 });
  });

  it("act as themselves, with the rights of a ServiceAccount", async () => {
    const reader = await plane.asServiceAccount("apps", "reader");
    const { status } = await reader.authentication.createSelfSubjectReview({ body: {} });
    assert.equal(status?.userInfo?.username, "system:serviceaccount:apps:reader");
    await assert.rejects(reader.core.listNamespacedPod({ namespace: "apps" }), { code: 403 });
  });
});
