import { createHash, createPublicKey, randomUUID, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import { z } from "zod";
import { StatusError } from "./status-error.ts";

/** The body of `POST …/serviceaccounts/NAME/token` (authentication.k8s.io/v1 TokenRequest). */
export const TokenRequest = z.looseObject({
  spec: z.looseObject({
    audiences: z.array(z.string()).default([]),
    expirationSeconds: z.number().int().default(3600),
    boundObjectRef: z
      .looseObject({ kind: z.string(), name: z.string(), uid: z.string() })
      .nullish(),
  }),
});
export type TokenRequest = z.infer<typeof TokenRequest>;

// KEP-1205: the API server refuses a shorter life.
const MIN_EXPIRATION_SECONDS = 600;

interface Named {
  readonly name: string;
  readonly uid: string;
}

/** Signs a ServiceAccount token with the claims that kube-apiserver 1.32 and newer puts in one. */
export async function signServiceAccountToken(
  { spec }: TokenRequest,
  subject: { readonly namespace: string; readonly serviceAccount: Named; readonly pod?: Named },
  signer: { readonly issuer: string; readonly privateKey: KeyObject; readonly nowMs: number },
): Promise<{ token: string; expirationTimestamp: string }> {
  if (spec.expirationSeconds < MIN_EXPIRATION_SECONDS) {
    const message = `spec.expirationSeconds: Invalid value: ${spec.expirationSeconds}: may not specify a duration less than 10 minutes`;
    throw new StatusError(422, "Invalid", message);
  }
  const { namespace, serviceAccount, pod } = subject;
  const iat = Math.floor(signer.nowMs / 1000);
  const exp = iat + spec.expirationSeconds;
  const claims = {
    aud: spec.audiences.length === 0 ? [signer.issuer] : spec.audiences,
    exp,
    iat,
    iss: signer.issuer,
    jti: randomUUID(),
    nbf: iat,
    sub: `system:serviceaccount:${namespace}:${serviceAccount.name}`,
    "kubernetes.io": { namespace, serviceaccount: serviceAccount, ...(pod && { pod }) },
  };
  const token = await new SignJWT(claims)
    .setProtectedHeader({ alg: "RS256", kid: kubernetesKeyIdOf(signer.privateKey) })
    .sign(signer.privateKey);
  return { token, expirationTimestamp: new Date(exp * 1000).toISOString() };
}

/** The `kid` of a key as Kubernetes computes it: SHA-256 over the DER SubjectPublicKeyInfo. */
export function kubernetesKeyIdOf(privateKey: KeyObject): string {
  const der = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return createHash("sha256").update(der).digest("base64url");
}
