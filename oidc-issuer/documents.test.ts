import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { discoveryDocument } from "./discovery.ts";
import { renderDocuments } from "./documents.ts";
import type { PublicJwk } from "./jwk.ts";

const issuerUrl = "https://oidc.example.com/prod";
const golden = (name: string) =>
  readFileSync(new URL(`fixtures/${name}`, import.meta.url), "utf8").trimEnd();

// RFC 7517 appendix A.1: published examples, so the golden file holds nobody's key.
const rsaJwk: PublicJwk = {
  use: "sig",
  kty: "RSA",
  kid: "2011-04-29",
  alg: "RS256",
  n: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
  e: "AQAB",
};
const ecJwk: PublicJwk = {
  use: "sig",
  kty: "EC",
  kid: "1",
  alg: "ES256",
  crv: "P-256",
  x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
};

describe("renderDocuments", () => {
  const { discovery, jwks } = renderDocuments(issuerUrl, [ecJwk, rsaJwk]);

  it("writes the discovery document that STS reads", () => {
    assert.equal(discovery.body.toString(), golden("openid-configuration"));
    assert.equal(discovery.path, "/.well-known/openid-configuration");
    assert.equal(discovery.contentType, "application/json");
  });

  it("writes the keys in the order given", () => {
    assert.equal(jwks.body.toString(), golden("jwks"));
    assert.equal(jwks.path, "/openid/v1/jwks");
    assert.equal(jwks.contentType, "application/jwk-set+json");
  });

  it("has a strong ETag that follows the content", () => {
    const again = renderDocuments(issuerUrl, [ecJwk, rsaJwk]);
    const fewer = renderDocuments(issuerUrl, [rsaJwk]);
    assert.match(jwks.etag, /^"[\w-]{43}"$/);
    assert.equal(again.jwks.etag, jwks.etag);
    assert.notEqual(fewer.jwks.etag, jwks.etag);
    assert.notEqual(fewer.discovery.etag, discovery.etag);
  });

  it("refuses an empty set", () => {
    assert.throws(() => renderDocuments(issuerUrl, []), /at least one key/);
  });

  for (const member of ["d", "p", "q", "dp", "dq", "qi", "k", "key_ops", "ext", "x5c"]) {
    it(`refuses a key with the member ${member}`, () => {
      const key = { ...rsaJwk, [member]: "AA" } as PublicJwk;
      assert.throws(() => renderDocuments(issuerUrl, [key]), new RegExp(`members ${member}$`));
    });
  }
});

describe("discoveryDocument", () => {
  it("lists each algorithm once, sorted", () => {
    const { id_token_signing_alg_values_supported: algorithms } = discoveryDocument(issuerUrl, [
      "RS256",
      "ES256",
      "RS256",
    ]);
    assert.deepEqual(algorithms, ["ES256", "RS256"]);
  });
});
