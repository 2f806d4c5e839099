import { verify, type KeyObject } from "node:crypto";
import type { JsonWebToken } from "./json-web-token.ts";
import { notAJwt, notValidated } from "./refusals.ts";

/** What one of the six algorithms asks of the key and of the signature. */
export interface Algorithm {
  readonly hash: "sha256" | "sha384" | "sha512";
  readonly kty: "RSA" | "EC";
  readonly crv: string | undefined;
  /** Length of r‖s (RFC 7518 section 3.4); an RSA signature is as long as the modulus. */
  readonly signatureBytes: number | undefined;
}

// STS API, AssumeRoleWithWebIdentity: no PS*, no EdDSA, no HS*, no none.
const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ["RS256", { hash: "sha256", kty: "RSA", crv: undefined, signatureBytes: undefined }],
  ["RS384", { hash: "sha384", kty: "RSA", crv: undefined, signatureBytes: undefined }],
  ["RS512", { hash: "sha512", kty: "RSA", crv: undefined, signatureBytes: undefined }],
  ["ES256", { hash: "sha256", kty: "EC", crv: "P-256", signatureBytes: 64 }],
  ["ES384", { hash: "sha384", kty: "EC", crv: "P-384", signatureBytes: 96 }],
  ["ES512", { hash: "sha512", kty: "EC", crv: "P-521", signatureBytes: 132 }],
]);

/** The row of a token's `alg`. @throws AwsError InvalidIdentityToken for any other than the six. */
export function algorithmOf({ algorithm }: JsonWebToken): Algorithm {
  const row = ALGORITHMS.get(algorithm);
  if (row === undefined) throw notAJwt("the token's alg is none of the six that STS takes");
  return row;
}

/** Verifies a token's signature. @throws AwsError InvalidIdentityToken */
export function assertSignature(token: JsonWebToken, key: KeyObject): void {
  const { hash, signatureBytes } = algorithmOf(token);
  const { signature, signingInput } = token;
  if (signatureBytes !== undefined && signature.length !== signatureBytes) {
    throw notValidated(`expected a signature of ${signatureBytes} bytes`);
  }
  const input = Buffer.from(signingInput);
  if (!verify(hash, input, { key, dsaEncoding: "ieee-p1363" }, signature)) {
    throw notValidated("the signature is not the key's");
  }
}
