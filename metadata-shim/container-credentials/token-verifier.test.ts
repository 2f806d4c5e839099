import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT, type CryptoKey } from "jose";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { createTokenVerifier } from "./token-verifier.ts";

const AUDIENCE = "pods.eks.amazonaws.com";

function signedToken(privateKey: CryptoKey, account: string): Promise<string> {
  const nowSeconds = Math.floor(createMovedClock().now() / 1000);
  return new SignJWT({
    sub: `system:serviceaccount:team:${account}`,
    aud: AUDIENCE,
    exp: nowSeconds + 3600,
    "kubernetes.io": {
      namespace: "team",
      serviceaccount: { name: account, uid: "account" },
      pod: { name: "app-0", uid: "pod" },
    },
  })
    .setProtectedHeader({ alg: "ES256" })
    .sign(privateKey);
}

describe("a token whose key is taken away while it is verified", () => {
  it("is not remembered", async () => {
    const clock = createMovedClock();
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    const token = await signedToken(privateKey, "app");
    const before = createLocalJWKSet({ keys: [await exportJWK(publicKey)] });
    const after = createLocalJWKSet({ keys: [] });
    const keys = {
      generation: 1,
      refresh: () => Promise.resolve(),
      get: (...asked: Parameters<typeof before>) => {
        if (keys.generation > 1) return after(...asked);
        keys.generation += 1;
        return before(...asked);
      },
    };
    const verifyToken = createTokenVerifier({ keys, audience: AUDIENCE, clock });
    assert.equal((await verifyToken(token)).status, "good");
    assert.deepEqual(await verifyToken(token), {
      status: "invalid",
      problem: "it is not signed with a key of this cluster",
    });
  });
});

describe("a token that was verified before", () => {
  it("is remembered, and does not vouch for another with its signature", async () => {
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    const ownKeys = createLocalJWKSet({ keys: [await exportJWK(publicKey)] });
    let verified = 0;
    const get = (...asked: Parameters<typeof ownKeys>): ReturnType<typeof ownKeys> => {
      verified += 1;
      return ownKeys(...asked);
    };
    const keys = { generation: 1, refresh: () => undefined, get };
    const verifyToken = createTokenVerifier({
      keys,
      audience: AUDIENCE,
      clock: createMovedClock(),
    });
    const token = await signedToken(privateKey, "app");
    const [head, , signature] = token.split(".");
    const [, otherClaims] = (await signedToken(privateKey, "admin")).split(".");
    assert.equal((await verifyToken(token)).status, "good");
    assert.deepEqual(await verifyToken(`${head}.${otherClaims}.${signature}`), {
      status: "invalid",
      problem: "its signature is wrong",
    });
    assert.equal(verified, 2);
    assert.equal((await verifyToken(token)).status, "good");
    assert.equal(verified, 2);
  });
});
