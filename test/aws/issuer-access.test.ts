import assert from "node:assert/strict";
import { createServer } from "node:net";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { DeleteOpenIDConnectProviderCommand } from "@aws-sdk/client-iam";
import { registerCluster, type Cluster } from "./fixtures/cluster.ts";
import { discoveryOf, startIssuer, type Served } from "./fixtures/issuer-server.ts";
import { assertInvalidToken, NO_KEY, NO_THUMBPRINT, wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws, type Aws, type AwsOptions } from "./start-aws.ts";

// How the stand-in reaches an issuer, what it reads there, and what it keeps.
let nowMs = Math.floor(Date.now() / 1000) * 1000;
const clock = { now: () => nowMs, sleep: async () => {} };
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const key = newSigningKey("RS256");
const other = newSigningKey("RS256", "other");
const issuer = resources.use(await startIssuer());
const NAME = "oidc.prod.example";
const named = resources.use(await startIssuer({ names: [NAME] }));

async function start(options: AwsOptions = {}): Promise<Aws> {
  return startAws({ clock, trustCaPems: [issuer.authority.cert], ...options });
}

/** Registers an issuer and makes a role that trusts it. */
function register(
  aws: Aws,
  url: string,
  options: { readonly thumbprints?: readonly string[]; readonly role?: string } = {},
): Promise<Cluster> {
  const nowSeconds = Math.floor(nowMs / 1000);
  return registerCluster(aws, { issuer: url, key, nowSeconds, role: "app", ...options });
}

function json(value: unknown): Served {
  return { body: JSON.stringify(value) };
}

const shared = resources.use(await start());
const published = await register(shared, issuer.url);

describe("discovery and keys", () => {
  const discoveryPath = "/.well-known/openid-configuration";
  const jwksPath = "/openid/v1/jwks";
  const good = discoveryOf(issuer.url);
  const { jwks_uri: _uri, ...withoutJwksUri } = good;
  const { response_types_supported: _types, ...withoutResponseTypes } = good;
  const { subject_types_supported: _subjects, ...withoutSubjectTypes } = good;
  const { id_token_signing_alg_values_supported: _algs, ...withoutAlgorithms } = good;
  const MEBIBYTE = 1024 * 1024;

  for (const [name, path, served] of [
    ["discovery is a 404", discoveryPath, { body: "", status: 404 }],
    ["discovery is a 500", discoveryPath, { ...json(good), status: 500 }],
    [
      "discovery redirects",
      discoveryPath,
      { body: "", status: 302, headers: { location: `${issuer.url}/elsewhere` } },
    ],
    ["discovery is no JSON", discoveryPath, { body: "<html>" }],
    ["discovery names another issuer", discoveryPath, json({ ...good, issuer: `${issuer.url}/` })],
    ["discovery has no jwks_uri", discoveryPath, json(withoutJwksUri)],
    ["jwks_uri is http", discoveryPath, json({ ...good, jwks_uri: "http://localhost/jwks" })],
    ["jwks_uri is relative", discoveryPath, json({ ...good, jwks_uri: jwksPath })],
    [
      "jwks_uri is on an unknown host",
      discoveryPath,
      json({ ...good, jwks_uri: "https://unknown.example/jwks" }),
    ],
    ["response_types_supported is missing", discoveryPath, json(withoutResponseTypes)],
    ["subject_types_supported is missing", discoveryPath, json(withoutSubjectTypes)],
    ["id_token_signing_alg_values_supported is missing", discoveryPath, json(withoutAlgorithms)],
    ["the JWKS is a 404", jwksPath, { body: "", status: 404 }],
    ["the JWKS has no keys", jwksPath, json({ keys: [] })],
    ["the JWKS is a list", jwksPath, json([key.jwk])],
    ["the JWKS is cut off", jwksPath, { body: JSON.stringify({ keys: [key.jwk] }).slice(0, -1) }],
    ["the JWKS is compressed", jwksPath, { body: "", headers: { "content-encoding": "gzip" } }],
    [
      "the JWKS has more than 1 MiB",
      jwksPath,
      { body: JSON.stringify({ keys: [key.jwk] }).padEnd(MEBIBYTE + 1) },
    ],
  ] as const) {
    it(`${name}: couldn't retrieve verification key`, async () => {
      issuer.publish([key.jwk]);
      issuer.documents.set("/elsewhere", json(good));
      issuer.documents.set(path, served);
      await assertInvalidToken(published.exchange(), NO_KEY);
    });
  }

  for (const [name, served] of [
    ["exactly 1 MiB", { body: JSON.stringify({ keys: [key.jwk] }).padEnd(MEBIBYTE) }],
    [
      "binary/octet-stream",
      {
        body: JSON.stringify({ keys: [key.jwk] }),
        headers: { "content-type": "binary/octet-stream" },
      },
    ],
    ["a key of an unknown type beside", json({ keys: [{ kty: "AKP", kid: "x" }, key.jwk] })],
  ] as const) {
    it(`a JWKS of ${name} is read`, async () => {
      issuer.publish([key.jwk]);
      issuer.documents.set(jwksPath, served);
      assert.ok((await published.exchange()).Credentials);
    });
  }

  it("an issuer with a path is asked below that path", async () => {
    const url = `${issuer.url}/clusters/prod`;
    const below = await register(shared, url, { role: "below" });
    issuer.publish([key.jwk], { issuer: url });
    const before = issuer.requested.length;
    await below.exchange({ RoleArn: "arn:aws:iam::111122223333:role/below" });
    assert.deepEqual(issuer.requested.slice(before), [
      "/clusters/prod/.well-known/openid-configuration",
      "/clusters/prod/openid/v1/jwks",
    ]);
  });

  it("an issuer that does not answer in time is given up", async () => {
    const silent = createServer(() => {}).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const address = silent.address();
    assert.ok(typeof address === "object" && address !== null);
    try {
      await using aws = await start({ issuerTimeoutMs: 100 });
      const silentCluster = await register(aws, `https://localhost:${address.port}`);
      await assertInvalidToken(silentCluster.exchange(), NO_KEY);
      assert.match(aws.calls().at(-1)?.detail ?? "", /took too long/);
    } finally {
      silent.close();
    }
  });

  it("an answer that does not end in time is given up", async () => {
    await using aws = await start({ issuerTimeoutMs: 300 });
    const endless = await register(aws, issuer.url);
    issuer.publish([key.jwk]);
    issuer.documents.set(jwksPath, { body: '{"keys":', isEndless: true });
    await assertInvalidToken(endless.exchange(), NO_KEY);
    assert.match(aws.calls().at(-1)?.detail ?? "", /took too long/);
  });

  it("a port that nobody listens on", async () => {
    const closed = await register(shared, "https://localhost:1", { role: "closed" });
    await assertInvalidToken(closed.exchange(), NO_KEY);
  });
});

describe("names", () => {
  it("a name is served where the table says, and only there", async () => {
    const url = `https://${NAME}/prod`;
    named.publish([key.jwk], { issuer: url });
    await using aws = await start({ trustCaPems: [named.authority.cert] });
    const cluster = await register(aws, url);
    await assertInvalidToken(cluster.exchange(), NO_KEY);
    assert.match(aws.calls().at(-1)?.detail ?? "", /"oidc\.prod\.example" is not known/);
    aws.set({ resolve: { "OIDC.prod.example": `127.0.0.1:${named.port}` } });
    assert.ok((await cluster.exchange()).Credentials);
    aws.set({ resolve: {} });
    await assertInvalidToken(cluster.exchange(), NO_KEY);
  });

  it("the certificate must be for the issuer's name, not for the address", async () => {
    named.publish([key.jwk], { issuer: `https://localhost:${named.port}` });
    await using aws = await start({ trustCaPems: [named.authority.cert] });
    const cluster = await register(aws, `https://localhost:${named.port}`);
    await assertInvalidToken(cluster.exchange(), NO_THUMBPRINT);
  });
});

describe("keeping of keys", () => {
  it("without caching a swap of keys takes effect at once, also for a kid that just worked", async () => {
    await using aws = await start();
    const cluster = await register(aws, issuer.url);
    issuer.publish([key.jwk], { cacheControl: "max-age=3600" });
    assert.ok((await cluster.exchange()).Credentials);
    issuer.publish([{ ...other.jwk, kid: "RS256" }]);
    assert.equal((await wireErrorOf(cluster.exchange())).code, "InvalidIdentityToken");
    issuer.publish([other.jwk]);
    await assertInvalidToken(cluster.exchange(), NO_KEY);
  });

  for (const cacheControl of ["no-cache", "no-store, max-age=600", "max-age=0", undefined]) {
    it(`with caching, Cache-Control "${cacheControl}" keeps nothing`, async () => {
      await using aws = await start({ jwksCache: true });
      const cluster = await register(aws, issuer.url);
      const options = cacheControl === undefined ? {} : { cacheControl };
      issuer.publish([key.jwk], options);
      assert.ok((await cluster.exchange()).Credentials);
      const before = issuer.requested.length;
      assert.ok((await cluster.exchange()).Credentials);
      assert.equal(issuer.requested.length, before + 2);
    });
  }

  it("with caching, keys are kept for max-age and fetched again for an unknown kid", async () => {
    await using aws = await start({ jwksCache: true });
    const cluster = await register(aws, issuer.url);
    issuer.publish([key.jwk], { cacheControl: "public, max-age=300" });
    const started = nowMs;
    try {
      assert.ok((await cluster.exchange()).Credentials);
      issuer.publish([other.jwk], { cacheControl: "public, max-age=300" });
      const before = issuer.requested.length;
      nowMs = started + 299_999;
      assert.ok((await cluster.exchange()).Credentials, "still by the kept key");
      assert.equal(issuer.requested.length, before);
      nowMs = started + 300_000;
      await assertInvalidToken(cluster.exchange(), NO_KEY);
      assert.equal(issuer.requested.length, before + 2);
      // The kept set has only the other key now, so this kid is unknown to it.
      issuer.publish([key.jwk, other.jwk], { cacheControl: "public, max-age=300" });
      assert.ok((await cluster.exchange()).Credentials);
      assert.equal(issuer.requested.length, before + 4);
    } finally {
      nowMs = started;
    }
  });

  it("with caching, a provider that is made anew starts without kept keys", async () => {
    await using aws = await start({ jwksCache: true });
    const cluster = await register(aws, issuer.url);
    issuer.publish([key.jwk], { cacheControl: "max-age=3600" });
    assert.ok((await cluster.exchange()).Credentials);
    await iamClient(aws).send(
      new DeleteOpenIDConnectProviderCommand({ OpenIDConnectProviderArn: cluster.providerArn }),
    );
    const again = await registerCluster(aws, { issuer: issuer.url, key, nowSeconds: nowMs / 1000 });
    issuer.publish([other.jwk]);
    await assertInvalidToken(again.exchange(), NO_KEY);
  });
});
