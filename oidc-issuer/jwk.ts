import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { z } from "zod";
import { AppError, reasonOf } from "../lib/errors.ts";

/** A public key as the issuer publishes it: these members and no others. */
export type PublicJwk = RsaJwk | EcJwk;

export interface RsaJwk {
  readonly use: "sig";
  readonly kty: "RSA";
  readonly kid: string;
  readonly alg: string;
  readonly n: string;
  readonly e: string;
}

export interface EcJwk {
  readonly use: "sig";
  readonly kty: "EC";
  readonly kid: string;
  readonly alg: string;
  readonly crv: string;
  readonly x: string;
  readonly y: string;
}

/** Why a key of a source is not published; also the label of the metric that counts such keys. */
export const FILTER_REASONS = [
  "malformed",
  "missing_kid",
  "not_for_signing",
  "unsupported_alg",
  "unsupported_crv",
  "unsupported_kty",
  "weak_key",
] as const;
export type FilterReason = (typeof FILTER_REASONS)[number];

export type Sanitized =
  | { readonly jwk: PublicJwk }
  | { readonly reason: FilterReason; readonly detail: string };

// What STS accepts (STS API Reference, AssumeRoleWithWebIdentity, WebIdentityToken), the algorithm
// that kube-apiserver signs with first.
const RSA_ALGORITHMS = ["RS256", "RS384", "RS512"];
const ALGORITHM_OF_CURVE: ReadonlyMap<string, string> = new Map([
  ["P-256", "ES256"],
  ["P-384", "ES384"],
  ["P-521", "ES512"],
]);

// RFC 7518 section 3.3: "A key of size 2048 bits or larger MUST be used".
const MIN_RSA_BITS = 2048;

/**
 * The `kid` that kube-apiserver puts into tokens and JWKS: unpadded base64url of the SHA-256 of the
 * DER SubjectPublicKeyInfo. Not the thumbprint of RFC 7638.
 */
export function kubernetesKid(key: KeyObject): string {
  const spki = key.export({ type: "spki", format: "der" });
  return createHash("sha256").update(spki).digest("base64url");
}

/**
 * Every key of a PEM text as kube-apiserver would publish it, once each, in the order of the text.
 * Takes public keys, certificates and private keys; of a private key only the public half is used.
 *
 * @throws AppError KEY_INVALID when a block is unreadable or its type is none that STS accepts
 */
export function jwksOfPem(pem: string): readonly PublicJwk[] {
  // createPublicKey reads only the first block of a text.
  const blocks = pem.match(/-----BEGIN ([^-]+)-----[\s\S]*?-----END \1-----/g) ?? [];
  const begun = pem.split("-----BEGIN ").length - 1;
  if (begun !== blocks.length) throw keyInvalid("a PEM block has a BEGIN line without its END");
  const keys = new Map<string, PublicJwk>();
  for (const [i, block] of blocks.entries()) {
    // openssl writes the curve's name as a block of its own before an EC private key.
    if (block.startsWith("-----BEGIN EC PARAMETERS-----")) continue;
    const jwk = jwkOf(publicKeyOf(block, i + 1));
    keys.set(jwk.kid, jwk);
  }
  if (keys.size === 0) throw keyInvalid("expected at least one PEM block with a key");
  return [...keys.values()];
}

const ServedJwk = z.looseObject({
  kty: z.string(),
  kid: z.string().optional(),
  use: z.string().optional(),
  alg: z.string().optional(),
  crv: z.string().optional(),
  n: z.string().optional(),
  e: z.string().optional(),
  x: z.string().optional(),
  y: z.string().optional(),
});

/**
 * What may be published of one member of an API server's JWKS: a usable public key with its `kid`
 * and `alg` as served, since tokens name them; or the reason not to publish it.
 */
export function sanitizeJwk(served: unknown): Sanitized {
  const parsed = ServedJwk.safeParse(served);
  if (!parsed.success) return refused("malformed", "not a JWK");
  const { kty, kid, use, alg, crv, n, e, x, y } = parsed.data;
  const named = `kty ${quote(kty)}${crv === undefined ? "" : `, crv ${quote(crv)}`}`;
  if (kty !== "RSA" && kty !== "EC") return refused("unsupported_kty", named);
  if (kty === "EC" && !ALGORITHM_OF_CURVE.has(crv ?? "")) {
    return refused("unsupported_crv", named);
  }
  if (kid === undefined || kid === "") return refused("missing_kid", named);
  if (use !== undefined && use !== "sig") return refused("not_for_signing", `use ${quote(use)}`);

  let key: KeyObject;
  try {
    // Only the public members, so that a private one never gets any further.
    const members = Object.entries(kty === "RSA" ? { kty, n, e } : { kty, crv, x, y });
    const jwk = Object.fromEntries(members.filter(([, text]) => text !== undefined));
    key = createPublicKey({ key: jwk, format: "jwk" });
  } catch (err) {
    return refused("malformed", reasonOf(err));
  }
  const weakness = weaknessOf(key);
  if (weakness !== undefined) return refused("weak_key", weakness);

  const jwk = jwkOf(key, kid);
  if (alg === undefined || alg === jwk.alg) return { jwk };
  if (kty === "RSA" && RSA_ALGORITHMS.includes(alg)) return { jwk: { ...jwk, alg } };
  return refused("unsupported_alg", `alg ${quote(alg)}, ${named}`);
}

/** Whether two published keys are the same key, whatever their names are. */
export function isSameKey(a: PublicJwk, b: PublicJwk): boolean {
  if (a.kty === "RSA") return b.kty === "RSA" && a.n === b.n && a.e === b.e;
  return b.kty === "EC" && a.crv === b.crv && a.x === b.x && a.y === b.y;
}

function publicKeyOf(block: string, position: number): KeyObject {
  const [, label = ""] = /-----BEGIN ([^-]+)-----/.exec(block) ?? [];
  try {
    return createPublicKey(block);
  } catch (cause) {
    throw keyInvalid(`PEM block ${position} (${label}): ${reasonOf(cause)}`, { cause });
  }
}

function jwkOf(key: KeyObject, kid = kubernetesKid(key)): PublicJwk {
  const { kty, crv, n = "", e = "", x = "", y = "" } = exported(key);
  if (kty === "RSA") {
    const weakness = weaknessOf(key);
    if (weakness !== undefined) throw keyInvalid(`${weakness}, in the key with kid ${quote(kid)}`);
    return { use: "sig", kty, kid, alg: "RS256", n, e };
  }
  const alg = ALGORITHM_OF_CURVE.get(crv ?? "");
  if (kty !== "EC" || crv === undefined || alg === undefined) {
    const wanted = "expected RSA, or EC with P-256, P-384 or P-521";
    throw keyInvalid(`kty ${quote(kty ?? "")}, crv ${quote(crv ?? "")}: ${wanted}`);
  }
  return { use: "sig", kty, kid, alg, crv, x, y };
}

// Node exports no JWK at all of some types, such as RSA-PSS, DSA and the smaller curves.
function exported(key: KeyObject): JsonWebKey {
  try {
    return key.export({ format: "jwk" });
  } catch {
    const curve = key.asymmetricKeyDetails?.namedCurve;
    return {
      kty: curve === undefined ? (key.asymmetricKeyType ?? "") : "EC",
      ...(curve === undefined ? {} : { crv: curve }),
    };
  }
}

function weaknessOf(key: KeyObject): string | undefined {
  if (key.asymmetricKeyType !== "rsa") return undefined;
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength < MIN_RSA_BITS) {
    return `RSA of ${modulusLength} bits: expected at least ${MIN_RSA_BITS}`;
  }
  // With exponent 1 anybody can make a signature; an even one is no RSA key (RFC 8017 section 3.1).
  if (publicExponent < 3n || publicExponent % 2n === 0n) {
    return `RSA with public exponent ${publicExponent}: expected an odd number >= 3`;
  }
  return undefined;
}

function refused(reason: FilterReason, detail: string): Sanitized {
  return { reason, detail };
}

function keyInvalid(problem: string, options?: { cause?: unknown }): AppError {
  return new AppError("KEY_INVALID", 500, `Cannot use the key: ${problem}`, options);
}

// A name from outside ends up in logs: short, and with nothing that could break a line.
function quote(text: string): string {
  return JSON.stringify(text.slice(0, 100));
}
