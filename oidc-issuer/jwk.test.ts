import assert from "node:assert/strict";
import { createHash, createPublicKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, it } from "node:test";
import { createAuthority } from "../lib/certificates.ts";
import { isSameKey, jwksOfPem, kubernetesKid, sanitizeJwk, type PublicJwk } from "./jwk.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ec = {
  "P-256": generateKeyPairSync("ec", { namedCurve: "P-256" }),
  "P-384": generateKeyPairSync("ec", { namedCurve: "P-384" }),
  "P-521": generateKeyPairSync("ec", { namedCurve: "P-521" }),
};

/** DER by hand (X.690), so that the kid rule is checked against more than the code it is made with. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const body = Buffer.concat(contents);
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}
const SEQUENCE = 0x30;
const oid = (hex: string) => der(0x06, Buffer.from(hex, "hex"));
const bitString = (content: Buffer) => der(0x03, Buffer.from([0]), content);
const bytes = (text: string | undefined) => Buffer.from(text ?? "", "base64url");
function unsigned(content: Buffer): Buffer {
  return der(0x02, content[0]! >= 0x80 ? Buffer.concat([Buffer.from([0]), content]) : content);
}

function kidByHand(key: KeyObject): string {
  const { kty, crv, n, e, x, y } = key.export({ format: "jwk" });
  const curves: Record<string, string> = {
    "P-256": "2a8648ce3d030107",
    "P-384": "2b81040022",
    "P-521": "2b81040023",
  };
  const spki =
    kty === "RSA"
      ? der(
          SEQUENCE,
          der(SEQUENCE, oid("2a864886f70d010101"), der(0x05)),
          bitString(der(SEQUENCE, unsigned(bytes(n)), unsigned(bytes(e)))),
        )
      : der(
          SEQUENCE,
          der(SEQUENCE, oid("2a8648ce3d0201"), oid(curves[crv ?? ""] ?? "")),
          bitString(Buffer.concat([Buffer.from([4]), bytes(x), bytes(y)])),
        );
  return createHash("sha256").update(spki).digest("base64url");
}

describe("kubernetesKid", () => {
  for (const [name, key] of [["RSA", rsa], ...Object.entries(ec)] as const) {
    it(`is the digest of the ${name} key's SubjectPublicKeyInfo, without padding`, () => {
      assert.equal(kubernetesKid(key.publicKey), kidByHand(key.publicKey));
      assert.match(kubernetesKid(key.publicKey), /^[\w-]{43}$/);
    });
  }
});

const pemOf = (key: KeyObject, type: "spki" | "pkcs1" | "pkcs8" | "sec1") =>
  key.export({ type, format: "pem" }).toString();

const publicPem = (type: string, options: object) => {
  const { publicKey } = (
    generateKeyPairSync as (type: string, options: object) => { publicKey: KeyObject }
  )(type, options);
  return pemOf(publicKey, "spki");
};

describe("jwksOfPem", () => {
  const { n, e } = rsa.publicKey.export({ format: "jwk" });
  const expected = { use: "sig", kty: "RSA", kid: kidByHand(rsa.publicKey), alg: "RS256", n, e };

  for (const [name, pem] of [
    ["PUBLIC KEY", pemOf(rsa.publicKey, "spki")],
    ["RSA PUBLIC KEY", pemOf(rsa.publicKey, "pkcs1")],
    ["PRIVATE KEY", pemOf(rsa.privateKey, "pkcs8")],
    ["RSA PRIVATE KEY", pemOf(rsa.privateKey, "pkcs1")],
  ] as const) {
    it(`reads ${name} as the JWK of kube-apiserver and nothing else`, () => {
      assert.match(pem, new RegExp(`^-----BEGIN ${name}-----`));
      assert.deepEqual(jwksOfPem(pem), [expected]);
    });
  }

  it("reads the key of a certificate", async () => {
    const { cert, key } = await createAuthority("issuer test", {
      notBeforeMs: 0,
      notAfterMs: 4_000_000_000_000,
    });
    assert.deepEqual(
      jwksOfPem(cert).map(({ kid }) => kid),
      [kidByHand(createPublicKey(key))],
    );
  });

  for (const [crv, alg] of [
    ["P-256", "ES256"],
    ["P-384", "ES384"],
    ["P-521", "ES512"],
  ] as const) {
    it(`gives ${crv} the algorithm ${alg}`, () => {
      const { x, y } = ec[crv].publicKey.export({ format: "jwk" });
      const kid = kidByHand(ec[crv].publicKey);
      const jwk = { use: "sig", kty: "EC", kid, alg, crv, x, y };
      assert.deepEqual(jwksOfPem(pemOf(ec[crv].publicKey, "spki")), [jwk]);
      // The parameters block is what `openssl ecparam -genkey` writes before the key.
      const parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
      assert.deepEqual(jwksOfPem(parameters + pemOf(ec[crv].privateKey, "sec1")), [jwk]);
    });
  }

  it("reads every block in order, each key once, with text around them", () => {
    const text = `# new\n${pemOf(ec["P-256"].publicKey, "spki")}\n# old\n${pemOf(rsa.publicKey, "spki")}${pemOf(rsa.privateKey, "pkcs8")}`;
    assert.deepEqual(
      jwksOfPem(text).map(({ alg }) => alg),
      ["ES256", "RS256"],
    );
  });

  for (const [name, pem, message] of [
    ["nothing", "", /expected at least one PEM block with a key/],
    ["no PEM", "ssh-rsa AAAA", /expected at least one PEM block with a key/],
    ["a block cut off", pemOf(rsa.publicKey, "spki").slice(0, 100), /a BEGIN line without its END/],
    [
      "a good block and one cut off",
      pemOf(rsa.publicKey, "spki") + pemOf(ec["P-256"].publicKey, "spki").slice(0, 60),
      /a BEGIN line without its END/,
    ],
    [
      "a block with no key in it",
      "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
      /PEM block 1 \(PUBLIC KEY\): /,
    ],
    ["Ed25519", publicPem("ed25519", {}), /kty "OKP", crv "Ed25519"/],
    ["secp256k1", publicPem("ec", { namedCurve: "secp256k1" }), /kty "EC", crv "secp256k1"/],
    ["P-224", publicPem("ec", { namedCurve: "secp224r1" }), /kty "EC", crv "secp224r1"/],
    ["ML-DSA", publicPem("ml-dsa-44", {}), /kty "AKP"/],
    ["RSA-PSS", publicPem("rsa-pss", { modulusLength: 2048 }), /kty "rsa-pss"/],
    ["RSA of 2047 bits", publicPem("rsa", { modulusLength: 2047 }), /RSA of 2047 bits/],
  ] as const) {
    it(`refuses ${name}`, () => {
      assert.throws(() => jwksOfPem(pem), { code: "KEY_INVALID", message });
    });
  }

  it("quotes nothing of a private key that it cannot read", () => {
    const broken = pemOf(rsa.privateKey, "pkcs8").replace(/\n.{20}/, "\n");
    assert.throws(
      () => jwksOfPem(broken),
      (err: Error) => !err.message.includes(broken.split("\n")[5] ?? "?"),
    );
  });
});

describe("sanitizeJwk", () => {
  const [rsaJwk] = jwksOfPem(pemOf(rsa.publicKey, "spki")) as [PublicJwk];
  const [ecJwk] = jwksOfPem(pemOf(ec["P-256"].publicKey, "spki")) as [PublicJwk];
  const { x: otherX } = ec["P-384"].publicKey.export({ format: "jwk" });

  for (const [name, served, jwk] of [
    ["an RSA key", rsaJwk, rsaJwk],
    ["an EC key", ecJwk, ecJwk],
    ["the kid as served", { ...rsaJwk, kid: "2024-key" }, { ...rsaJwk, kid: "2024-key" }],
    ["another RSA algorithm", { ...rsaJwk, alg: "RS512" }, { ...rsaJwk, alg: "RS512" }],
    ["a key without use and alg", { ...ecJwk, use: undefined, alg: undefined }, ecJwk],
    [
      "a key without what must not be published",
      { ...rsaJwk, key_ops: ["verify"], ext: true, x5c: ["AA"], exp: 1 },
      rsaJwk,
    ],
    [
      "a private key's public half",
      { ...rsa.privateKey.export({ format: "jwk" }), kid: rsaJwk.kid },
      rsaJwk,
    ],
    ["padded base64", { ...rsaJwk, n: `${"n" in rsaJwk ? rsaJwk.n : ""}==` }, rsaJwk],
  ] as const) {
    it(`keeps ${name}`, () => assert.deepEqual(sanitizeJwk(served), { jwk }));
  }

  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  for (const [name, served, reason] of [
    ["null", null, "malformed"],
    ["a text", "key", "malformed"],
    ["a key without a type", { kid: "a" }, "malformed"],
    ["an RSA key without n", { ...rsaJwk, n: undefined }, "malformed"],
    ["a number as n", { ...rsaJwk, n: 1 }, "malformed"],
    ["a point that is not on the curve", { ...ecJwk, y: "x" in ecJwk ? ecJwk.x : "" }, "malformed"],
    ["a coordinate of another curve", { ...ecJwk, x: otherX }, "malformed"],
    ["a key without kid", { ...rsaJwk, kid: undefined }, "missing_kid"],
    ["an empty kid", { ...rsaJwk, kid: "" }, "missing_kid"],
    ["a key for encryption", { ...rsaJwk, use: "enc" }, "not_for_signing"],
    ["Ed25519", { kty: "OKP", crv: "Ed25519", kid: "a", x: "AA" }, "unsupported_kty"],
    ["ML-DSA", { kty: "AKP", alg: "ML-DSA-44", kid: "a", pub: "AA" }, "unsupported_kty"],
    ["a shared secret", { kty: "oct", kid: "a", k: "AA" }, "unsupported_kty"],
    ["secp256k1", { ...ecJwk, crv: "secp256k1" }, "unsupported_crv"],
    ["a curve named like a property", { ...ecJwk, crv: "toString" }, "unsupported_crv"],
    ["PS256", { ...rsaJwk, alg: "PS256" }, "unsupported_alg"],
    ["an algorithm of another curve", { ...ecJwk, alg: "ES384" }, "unsupported_alg"],
    ["an EC algorithm on RSA", { ...rsaJwk, alg: "ES256" }, "unsupported_alg"],
    ["RSA of 1024 bits", { ...weak.export({ format: "jwk" }), kid: "a" }, "weak_key"],
    ["RSA with exponent 1", { ...rsaJwk, e: "AQ" }, "weak_key"],
    ["RSA with an even exponent", { ...rsaJwk, e: "BA" }, "weak_key"],
  ] as const) {
    it(`drops ${name} as ${reason}`, () => {
      const result = sanitizeJwk(served);
      assert.equal("reason" in result ? result.reason : "kept", reason);
    });
  }
});

describe("isSameKey", () => {
  const [a] = jwksOfPem(pemOf(rsa.publicKey, "spki")) as [PublicJwk];
  const [b] = jwksOfPem(pemOf(ec["P-256"].publicKey, "spki")) as [PublicJwk];

  it("looks at the key, not at its name", () => {
    assert.ok(isSameKey(a, { ...a, kid: "other", alg: "RS384" }));
    assert.ok(isSameKey(b, { ...b, kid: "other" }));
    assert.ok(!isSameKey(a, b));
    assert.ok(!isSameKey(a, { ...a, e: "Aw" } as PublicJwk));
    assert.ok(!isSameKey(b, { ...b, crv: "P-384" } as PublicJwk));
  });
});
