// What kube-apiserver itself serves of its issuer and keys: the facts that our own documents stand on.
import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { missingComponents } from "./components.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import { createServiceAccountKey } from "./credentials.ts";
import { httpsGet, type HttpsAnswer } from "./https-get.ts";

const skip = (await missingComponents(process.env)) ?? false;
const DISCOVERY = "/.well-known/openid-configuration";
const JWKS = "/openid/v1/jwks";

const signingKeyPem = await createServiceAccountKey();
const { publicKey: ecKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ecPem = ecKey.export({ type: "spki", format: "pem" }).toString();

describe("the documents of kube-apiserver", { skip }, () => {
  let plane: ControlPlane;
  let asServiceAccount: Readonly<Record<string, string>>;
  before(async () => {
    plane = await startControlPlane({
      issuers: ["https://oidc.example.test/cluster", "https://old.example.test"],
      apiServers: [
        { signingKeyPem, verificationKeysPem: [signingKeyPem, ecPem] },
        { signingKeyPem, verificationKeysPem: [ecPem], issuers: ["kubernetes/serviceaccount"] },
        { signingKeyPem, verificationKeysPem: [ecPem] },
      ],
    });
    await plane.createServiceAccount("apps", "reader");
    const { token } = await plane.requestToken({ namespace: "apps", serviceAccount: "reader" });
    asServiceAccount = { authorization: `Bearer ${token}` };
  });
  after(() => plane[Symbol.asyncDispose]());

  const read = (
    path: string,
    { server = 0, headers = asServiceAccount } = {},
  ): Promise<HttpsAnswer> => {
    const url = plane.apiServers[server]?.url;
    return httpsGet(`${url}${path}`, { caPem: plane.caPem, headers });
  };
  const readAsAdmin = async (path: string, server: number): Promise<HttpsAnswer> => {
    const apiServer = plane.apiServers[server];
    assert.ok(apiServer);
    return apiServer.getRaw(path);
  };

  it("discovery names the first issuer, the API server's own address, and the algorithms of all keys", async () => {
    const { status, headers, body } = await read(DISCOVERY);
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "application/json");
    assert.equal(headers["cache-control"], "public, max-age=3600");
    assert.deepEqual(JSON.parse(body), {
      issuer: "https://oidc.example.test/cluster",
      jwks_uri: `${plane.url}/openid/v1/jwks`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256", "RS256"],
    });
  });

  it("the JWKS holds the public half of every key file, with Kubernetes' kid", async () => {
    const { status, headers, body } = await read(JWKS);
    assert.equal(status, 200);
    assert.equal(headers["content-type"], "application/jwk-set+json");
    assert.equal(headers["cache-control"], "public, max-age=3600");
    assert.deepEqual(
      byKid(body),
      [jwk(signingKeyPem, "RS256"), jwk(ecPem, "ES256")].toSorted(order),
    );
  });

  it("the JWKS lacks a signing key that no key file holds, whose tokens are refused here", async () => {
    const { body } = await readAsAdmin(JWKS, 2);
    assert.deepEqual(byKid(body), [jwk(ecPem, "ES256")]);
    assert.equal((await read(JWKS, { server: 2 })).status, 401);
  });

  for (const path of [DISCOVERY, JWKS]) {
    it(`${path} is not served when the first issuer is no https URL`, async () => {
      assert.equal((await readAsAdmin(path, 1)).status, 404);
    });

    it(`${path} is refused to anonymous users`, async () => {
      assert.equal((await read(path, { headers: {} })).status, 403);
    });

    it(`${path} is also served with a slash at its end`, async () => {
      const [plain, slash] = await Promise.all([read(path), read(`${path}/`)]);
      assert.deepEqual([slash.status, slash.body], [200, plain.body]);
    });
  }
});

interface Jwk {
  readonly kid: string;
}

function byKid(jwks: string): Jwk[] {
  return (JSON.parse(jwks) as { keys: Jwk[] }).keys.toSorted(order);
}

function order(a: Jwk, b: Jwk): number {
  return a.kid.localeCompare(b.kid);
}

function jwk(pem: string, alg: string): Jwk & Record<string, unknown> {
  const key = createPublicKey(pem);
  const der = key.export({ type: "spki", format: "der" });
  const kid = createHash("sha256").update(der).digest("base64url");
  return { use: "sig", alg, kid, ...key.export({ format: "jwk" }) };
}
