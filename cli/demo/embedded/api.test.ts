import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import express from "express";
import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from "jose";
import { createAuthority, issueServingCertificate } from "../../../lib/certificates.ts";
import { listen, type RunningServer } from "../../../lib/http.ts";
import { createApi } from "./api.ts";

const ISSUER = "https://oidc.test.example/cluster";
const { privateKey: signingKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const identity = { issuer: ISSUER, signingKey, bearerToken: "right" };

let api: RunningServer;
before(async () => {
  api = await listen(createApi(identity), { port: 0, host: "127.0.0.1", drainMs: 0 });
});
after(() => api[Symbol.asyncDispose]());

/** The members of the API's answers that the tests look at. */
interface Answer {
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
  readonly metadata: { uid: string; namespace: string; labels: Record<string, string> };
  readonly status: { token: string };
}

async function call(
  path: string,
  body?: object,
  token = "right",
): Promise<{ status: number; body: Answer }> {
  const response = await fetch(`http://127.0.0.1:${api.port}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as Answer };
}

/** A namespace with one ServiceAccount and one pod in it. */
async function populate(): Promise<{ namespace: string; podUid: string }> {
  const namespace = `n-${randomUUID().slice(0, 8)}`;
  const labels = { "irsa-anywhere.io/injection": "enabled" };
  await call("/api/v1/namespaces", { metadata: { name: namespace, labels } });
  await call(`/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: "app" } });
  const pod = { metadata: { name: "app" }, spec: { containers: [{ name: "app" }] } };
  const created = await call(`/api/v1/namespaces/${namespace}/pods`, pod);
  assert.equal(created.status, 201);
  return { namespace, podUid: created.body.metadata.uid };
}

describe("the embedded Kubernetes API", () => {
  it("refuses a caller with another bearer token", async () => {
    const { status, body } = await call("/api/v1/serviceaccounts", undefined, "wrong");
    assert.deepEqual([status, body.kind, body.reason], [401, "Status", "Unauthorized"]);
  });

  it("signs a token for the audience, bound to the pod, that its JWKS verifies", async () => {
    const { namespace, podUid } = await populate();
    const spec = {
      audiences: ["sts.amazonaws.com"],
      expirationSeconds: 600,
      boundObjectRef: { kind: "Pod", name: "app", uid: podUid },
    };
    const { status, body } = await call(
      `/api/v1/namespaces/${namespace}/serviceaccounts/app/token`,
      { spec },
    );
    assert.equal(status, 201);
    const jwks = (await call("/openid/v1/jwks")).body as unknown as JSONWebKeySet;
    const { payload } = await jwtVerify(body.status.token, createLocalJWKSet(jwks), {
      issuer: ISSUER,
      audience: "sts.amazonaws.com",
      subject: `system:serviceaccount:${namespace}:app`,
    });
    assert.deepEqual(payload.aud, ["sts.amazonaws.com"]);
    assert.equal((payload.exp ?? 0) - (payload.iat ?? 0), 600);
    assert.deepEqual((payload["kubernetes.io"] as Record<string, unknown>)["pod"], {
      name: "app",
      uid: podUid,
    });
  });

  it("publishes no private member of its key", async () => {
    const { keys } = (await call("/openid/v1/jwks")).body as unknown as JSONWebKeySet;
    const { n, e } = createPublicKey(signingKey).export({ format: "jwk" });
    assert.deepEqual(
      keys.map(({ use, kty, kid, alg, ...rest }) => ({ use, kty, kid: typeof kid, alg, ...rest })),
      [{ use: "sig", kty: "RSA", kid: "string", alg: "RS256", n, e }],
    );
  });

  it("refuses its JWKS to who accepts JSON only, as kube-apiserver does", async () => {
    const response = await fetch(`http://127.0.0.1:${api.port}/openid/v1/jwks`, {
      headers: { authorization: "Bearer right", accept: "application/json" },
    });
    assert.equal(response.status, 406);
    await response.body?.cancel();
  });

  for (const [name, spec, code] of [
    ["a life under 600 s", { expirationSeconds: 599 }, 422],
    ["a pod that does not exist", { boundObjectRef: { kind: "Pod", name: "x", uid: "u" } }, 404],
    ["a pod of another uid", { boundObjectRef: { kind: "Pod", name: "app", uid: "u" } }, 409],
  ] as const) {
    it(`refuses a token request for ${name}`, async () => {
      const { namespace } = await populate();
      const path = `/api/v1/namespaces/${namespace}/serviceaccounts/app/token`;
      const { status, body } = await call(path, { spec });
      assert.deepEqual([status, body.kind], [code, "Status"]);
    });
  }

  it("tells a watcher of a ServiceAccount that comes later", async () => {
    const response = await fetch(`http://127.0.0.1:${api.port}/api/v1/serviceaccounts?watch=true`, {
      headers: { authorization: "Bearer right" },
    });
    const reader = response.body?.getReader();
    assert.ok(reader);
    const { namespace } = await populate();
    const { value } = await reader.read();
    await reader.cancel();
    const { type, object } = JSON.parse(Buffer.from(value ?? []).toString("utf8")) as {
      type: string;
      object: Answer;
    };
    assert.deepEqual([type, object.metadata.namespace], ["ADDED", namespace]);
  });

  it("names what it does not have", async () => {
    const { status, body } = await call("/api/v1/nodes");
    assert.equal(status, 404);
    assert.match(body.message, /GET \/api\/v1\/nodes/);
  });
});

describe("admission in the embedded Kubernetes API", () => {
  it("patches through the webhook, and refuses the pod when it denies or fails", async () => {
    const now = Date.now();
    const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 60_000 };
    const authority = await createAuthority("test", validity);
    const keyPair = await issueServingCertificate(authority, ["127.0.0.1"], validity);
    let answer: object = {};
    const webhook = express().post("/mutate", express.json(), (req, res) => {
      res.json({ response: { uid: req.body.request.uid, ...answer } });
    });
    await using server = await listen(webhook, { port: 0, host: "127.0.0.1", drainMs: 0, keyPair });
    const url = `https://127.0.0.1:${server.port}/mutate`;
    const caBundle = Buffer.from(authority.cert).toString("base64");
    await call("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", {
      metadata: { name: "test" },
      webhooks: [{ name: "test.example.com", clientConfig: { url, caBundle } }],
    });

    const patch = [{ op: "add", path: "/metadata/labels", value: { patched: "yes" } }];
    answer = { allowed: true, patch: Buffer.from(JSON.stringify(patch)).toString("base64") };
    const { namespace } = await populate();
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const pod = { metadata: { name: "second" }, spec: { containers: [{ name: "app" }] } };
    assert.deepEqual((await call(path, pod)).body.metadata.labels, { patched: "yes" });

    answer = { allowed: false, status: { message: "not you" } };
    const denied = await call(path, pod);
    assert.deepEqual([denied.status, denied.body.reason], [403, "Forbidden"]);
    assert.match(denied.body.message, /"test.example.com" denied the request: not you/);

    answer = { uid: "another" };
    const failed = await call(path, pod);
    assert.equal(failed.status, 500);
    assert.match(failed.body.message, /failed calling webhook/);
  });
});
