import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { createTokenVerifier } from "./token-verifier.ts";

const AUDIENCE = "pods.eks.amazonaws.com";

describe("a token whose key is taken away while it is verified", () => {
  it("is not remembered", async () => {
    const clock = createMovedClock();
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    const nowSeconds = Math.floor(clock.now() / 1000);
    const token = await new SignJWT({
      sub: "system:serviceaccount:team:app",
      aud: AUDIENCE,
      exp: nowSeconds + 3600,
      "kubernetes.io": {
        namespace: "team",
        serviceaccount: { name: "app", uid: "account" },
        pod: { name: "app-0", uid: "pod" },
      },
    })
      .setProtectedHeader({ alg: "ES256" })
      .sign(privateKey);
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
