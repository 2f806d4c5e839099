import assert from "node:assert/strict";
import {
  constants,
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from "node:crypto";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { directExchange } from "./fixtures/direct-exchange.ts";
import { goodClaims } from "./fixtures/recorded-rows.ts";
import { newRowContext } from "./fixtures/row-token.ts";
import { base64Url, newSigningKey, signToken } from "./fixtures/signing-keys.ts";

const context = await newRowContext("https://issuer.example/cluster", 1_800_000_000);

describe("forged tokens are refused", () => {
  const { keys } = context;
  const claims = goodClaims(context);
  const attacker = newSigningKey("RS256");
  const published = [keys.RS256.jwk, keys.ES256.jwk, keys.ES384.jwk, keys.ES512.jwk];
  const exchange = directExchange(context, published);
  const good = signToken(keys.RS256, { alg: "RS256", kid: "RS256" }, claims);
  const goodEs256 = signToken(keys.ES256, { alg: "ES256", kid: "ES256" }, claims);
  const [headerPart = "", payloadPart = "", signaturePart = ""] = good.split(".");
  const unsigned = (header: object): string =>
    `${base64Url(JSON.stringify(header))}.${base64Url(JSON.stringify(claims))}`;
  const rsaPublic = createPublicKey(keys.RS256.privateKey);

  const hmacToken = (algorithm: string, secret: string | Buffer): string => {
    const input = unsigned({ alg: algorithm, kid: "RS256" });
    const hash = `sha${algorithm.slice(2)}`;
    return `${input}.${createHmac(hash, secret).update(input).digest("base64url")}`;
  };
  const signedWith = (header: object, key: KeyObject, options: object, hash?: string): string => {
    const input = unsigned(header);
    const signature = sign(hash, Buffer.from(input), { key, ...options });
    return `${input}.${signature.toString("base64url")}`;
  };
  const es256Signature = Buffer.from(goodEs256.split(".")[2] ?? "", "base64url");
  const byAttacker = (header: object): string =>
    signToken(attacker, { alg: "RS256", kid: "RS256", ...header }, claims);

  it("but the tokens they are made from are accepted", async () => {
    assert.equal(await exchange(good), "OK");
    assert.equal(await exchange(goodEs256), "OK");
  });

  const cases: readonly (readonly [string, string])[] = [
    ["alg none, empty signature", `${unsigned({ alg: "none", kid: "RS256" })}.`],
    ["alg none, no kid, empty signature", `${unsigned({ alg: "none" })}.`],
    ["alg None with the real signature", relabelled(good, { alg: "None", kid: "RS256" })],
    ["alg missing", relabelled(good, { kid: "RS256" })],
    ["alg rs256 in lower case", relabelled(good, { alg: "rs256", kid: "RS256" })],
    ...["HS256", "HS384", "HS512"].flatMap((algorithm) => [
      [
        `${algorithm} with the public key in PEM`,
        hmacToken(algorithm, rsaPublic.export({ type: "spki", format: "pem" })),
      ] as const,
      [
        `${algorithm} with the public key in DER`,
        hmacToken(algorithm, rsaPublic.export({ type: "spki", format: "der" })),
      ] as const,
      [
        `${algorithm} with the modulus`,
        hmacToken(algorithm, Buffer.from(String(keys.RS256.jwk["n"]), "base64url")),
      ] as const,
    ]),
    ["HS256 with an empty secret", hmacToken("HS256", "")],
    ["RS256 signed, labelled RS384", relabelled(good, { alg: "RS384", kid: "RS256" })],
    ["RS256 signed, labelled ES256", relabelled(good, { alg: "ES256", kid: "RS256" })],
    ["ES256 signed, labelled RS256", relabelled(goodEs256, { alg: "RS256", kid: "ES256" })],
    [
      "ES256 on a P-384 key",
      signToken({ ...keys.ES384, algorithm: "ES256" }, { alg: "ES256", kid: "ES384" }, claims),
    ],
    [
      "ES512 on a P-256 key",
      signToken({ ...keys.ES256, algorithm: "ES512" }, { alg: "ES512", kid: "ES256" }, claims),
    ],
    [
      "PS256 with the published key",
      signedWith(
        { alg: "PS256", kid: "RS256" },
        keys.RS256.privateKey,
        { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
        "sha256",
      ),
    ],
    [
      "a PSS signature labelled RS256",
      signedWith(
        { alg: "RS256", kid: "RS256" },
        keys.RS256.privateKey,
        { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
        "sha256",
      ),
    ],
    [
      "a SHA-1 signature labelled RS256",
      signedWith({ alg: "RS256", kid: "RS256" }, keys.RS256.privateKey, {}, "sha1"),
    ],
    [
      "EdDSA",
      signedWith({ alg: "EdDSA", kid: "RS256" }, generateKeyPairSync("ed25519").privateKey, {}),
    ],
    ["another key under the published kid", byAttacker({})],
    ["jwk embedded in the header", byAttacker({ jwk: attacker.jwk })],
    ["jwk embedded, no kid", byAttacker({ jwk: attacker.jwk, kid: undefined })],
    ["jku in the header", byAttacker({ jku: "https://localhost:1/jwks" })],
    ["x5u in the header", byAttacker({ x5u: "https://localhost:1/certificate" })],
    ["x5c in the header", byAttacker({ x5c: [context.certificate] })],
    ["empty signature after the last dot", `${headerPart}.${payloadPart}.`],
    ["no signature part", `${headerPart}.${payloadPart}`],
    ["a fourth part", `${good}.${signaturePart}`],
    ["five parts as a JWE", `${good}.${signaturePart}.${signaturePart}`],
    [
      "the JSON serialisation",
      JSON.stringify({ protected: headerPart, payload: payloadPart, signature: signaturePart }),
    ],
    [
      "the signature of another token",
      withSignature(
        good,
        Buffer.from(
          signToken(keys.RS256, { alg: "RS256", kid: "RS256" }, { ...claims, jti: "x" }).split(
            ".",
          )[2] ?? "",
          "base64url",
        ),
      ),
    ],
    ["an RSA signature of zeros", withSignature(good, Buffer.alloc(256))],
    ["an RSA signature of one", withSignature(good, Buffer.alloc(256).fill(1, 255))],
    [
      "an RSA signature with a zero byte in front",
      withSignature(
        good,
        Buffer.concat([Buffer.alloc(1), Buffer.from(signaturePart, "base64url")]),
      ),
    ],
    ["an ECDSA signature of zeros", withSignature(goodEs256, Buffer.alloc(64))],
    [
      "an ECDSA signature in DER",
      signedWith({ alg: "ES256", kid: "ES256" }, keys.ES256.privateKey, {}, "sha256"),
    ],
    ["an ECDSA signature cut to r", withSignature(goodEs256, es256Signature.subarray(0, 32))],
    [
      "an ECDSA signature with zeros around r and s",
      withSignature(
        goodEs256,
        Buffer.concat([
          Buffer.alloc(16),
          es256Signature.subarray(0, 32),
          Buffer.alloc(16),
          es256Signature.subarray(32),
        ]),
      ),
    ],
    ["base64url with padding", `${good}=`],
    ["a line feed at the end", `${good}\n`],
    ["a space in front", ` ${good}`],
    ["a foreign character in the payload", good.replace(".", ".!")],
    ["Bearer in front", `Bearer ${good}`],
  ];
  for (const [name, token] of cases) {
    it(name, async () => {
      assert.equal(await exchange(token), "InvalidIdentityToken");
    });
  }

  it("base64url with stray last bits, in each part that has some", async (t) => {
    let count = 0;
    for (const token of [good, goodEs256]) {
      for (const variant of strayBitVariants(token)) {
        assert.equal(await exchange(variant), "InvalidIdentityToken");
        count += 1;
      }
    }
    t.diagnostic(`${count} spellings`);
    assert.ok(count > 0);
  });

  it("a secp256k1 key under ES256", async () => {
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "secp256k1" });
    const jwk = { use: "sig", kid: "k1", ...publicKey.export({ format: "jwk" }) };
    const token = signToken(
      { algorithm: "ES256", privateKey },
      { alg: "ES256", kid: "k1" },
      claims,
    );
    assert.equal(await directExchange(context, [jwk])(token), "InvalidIdentityToken");
  });

  it("a symmetric key that the issuer publishes", async () => {
    const secret = "a secret that is not one";
    const jwk = { kty: "oct", use: "sig", kid: "RS256", k: base64Url(secret) };
    const token = hmacToken("HS256", secret);
    assert.equal(await directExchange(context, [jwk])(token), "InvalidIdentityToken");
  });

  it("any text", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 4, maxLength: 200, unit: "binary" }),
        async (text) => {
          assert.equal(await exchange(text), "InvalidIdentityToken");
        },
      ),
    );
  });

  it("any claims and any header that another key signed", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.dictionary(fc.constantFrom("jwk", "jku", "x5u", "x5c", "typ", "cty"), fc.jsonValue()),
        async (extraClaims, extraHeader) => {
          const header = { ...extraHeader, alg: "RS256", kid: "RS256" };
          const token = signToken(attacker, header, { ...extraClaims, ...claims });
          assert.equal(await exchange(token), "InvalidIdentityToken");
        },
      ),
    );
  });
});

/** The same payload and signature under another header. */
function relabelled(token: string, header: object): string {
  return [base64Url(JSON.stringify(header)), ...token.split(".").slice(1)].join(".");
}

function withSignature(token: string, signature: Buffer): string {
  return [...token.split(".").slice(0, 2), signature.toString("base64url")].join(".");
}

/** Other spellings of a token's bytes: the last character of a part with the unused bits changed. */
function* strayBitVariants(token: string): Generator<string> {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const parts = token.split(".");
  for (const [i, part] of parts.entries()) {
    const bytes = Buffer.from(part, "base64url");
    for (const character of alphabet) {
      const variant = part.slice(0, -1) + character;
      if (variant === part || !Buffer.from(variant, "base64url").equals(bytes)) continue;
      yield parts.with(i, variant).join(".");
    }
  }
}
