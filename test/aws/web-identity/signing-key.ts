import { createPublicKey, X509Certificate, type KeyObject } from "node:crypto";
import { z } from "zod";
import { cannotRetrieveKey, notValidated } from "./refusals.ts";

const Key = z.looseObject({
  kty: z.string(),
  kid: z.string().optional(),
  use: z.string().optional(),
  x5c: z.array(z.string()).optional(),
  crv: z.string().optional(),
});
const KeySet = z.looseObject({ keys: z.array(Key).min(1) });

/** A JWK as published; what is unknown is kept but never used. */
export type Jwk = z.infer<typeof Key>;

/** The most keys of one type that STS takes (STS API, AssumeRoleWithWebIdentity). */
const MAX_KEYS_OF_A_TYPE = 100;

/** Reads a JWK set. @throws AwsError InvalidIdentityToken when it is none, or empty. */
export function parseKeySet(text: string): readonly Jwk[] {
  try {
    return KeySet.parse(JSON.parse(text)).keys;
  } catch (cause) {
    throw cannotRetrieveKey("the JWKS is no set of at least one key", cause);
  }
}

/**
 * The public key of the set that a token is to be verified with. What STS does here was recorded:
 * the last of several keys with one `kid` wins; a key without `kid`, with another `use` than `sig`,
 * or whose `x5c` is not its own is not seen; a set with more than 100 keys of the wanted type is not
 * used; any `key_ops` spoils the key; its `alg` does not matter.
 *
 * @param wanted The key type and curve that the token's `alg` asks for.
 * @throws AwsError InvalidIdentityToken
 */
export function selectKey(
  keys: readonly Jwk[],
  keyId: string | undefined,
  wanted: { readonly kty: string; readonly crv: string | undefined },
): KeyObject {
  if (keys.filter(({ kty }) => kty === wanted.kty).length > MAX_KEYS_OF_A_TYPE) {
    throw cannotRetrieveKey(`more than ${MAX_KEYS_OF_A_TYPE} ${wanted.kty} keys in the JWKS`);
  }
  const jwk = keyId === undefined ? onlyKey(keys) : lastWithId(keys, keyId);
  if (jwk.kty !== wanted.kty || jwk.crv !== wanted.crv) {
    throw cannotRetrieveKey("the key's type or curve is not the one of the token's alg");
  }
  if ("key_ops" in jwk) throw notValidated("the key has key_ops");
  const publicKey = importPublicKey(jwk);
  if (publicKey === undefined) throw cannotRetrieveKey("the key has no usable parameters");
  return publicKey;
}

function lastWithId(keys: readonly Jwk[], keyId: string): Jwk {
  if (keyId === "") throw cannotRetrieveKey("the token's kid is empty");
  const jwk = keys.filter(isSeen).findLast(({ kid }) => kid === keyId);
  if (jwk === undefined) throw cannotRetrieveKey("no usable key with the token's kid in the JWKS");
  return jwk;
}

function onlyKey(keys: readonly Jwk[]): Jwk {
  const [jwk, ...others] = keys;
  if (jwk === undefined || others.length > 0) {
    throw cannotRetrieveKey("the token has no kid and the JWKS not exactly one key");
  }
  if (!isSeen(jwk)) throw cannotRetrieveKey("the only key in the JWKS is not usable");
  return jwk;
}

function isSeen(jwk: Jwk): boolean {
  if (jwk.kid === undefined || jwk.kid === "") return false;
  if (jwk.use !== undefined && jwk.use !== "sig") return false;
  return jwk.x5c === undefined || isCertified(jwk, jwk.x5c);
}

function isCertified(jwk: Jwk, [first = ""]: readonly string[]): boolean {
  const own = importPublicKey(jwk);
  if (own === undefined) return false;
  try {
    return new X509Certificate(Buffer.from(first, "base64")).publicKey.equals(own);
  } catch {
    // No certificate: it certifies nothing.
    return false;
  }
}

/** Only the public parameters: a private key that was published by mistake is not used. */
function importPublicKey({ kty, crv, n, e, x, y }: Jwk): KeyObject | undefined {
  const parameters = z
    .union([
      z.object({ kty: z.literal("RSA"), n: z.string().min(1), e: z.string().min(1) }),
      z.object({ kty: z.literal("EC"), crv: z.string(), x: z.string(), y: z.string() }),
    ])
    .safeParse({ kty, crv, n, e, x, y });
  if (!parameters.success) return undefined;
  try {
    return createPublicKey({ format: "jwk", key: parameters.data });
  } catch {
    // A point that is not on the curve, or no base64url.
    return undefined;
  }
}
