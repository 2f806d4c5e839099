import { decodeJwt } from "jose";
import { z } from "zod";
import type { CredentialRequest } from "./credentials.ts";

/** STS API, `WebIdentityToken`: 4 to 20000 characters. */
export const MAX_TOKEN_CHARACTERS = 20_000;

// Of Kubernetes 1.32 and newer in tokens that are bound to a pod (KEP-1205, KEP-4193).
const Claims = z.looseObject({
  sub: z.string(),
  aud: z.union([z.string(), z.array(z.string())]),
  "kubernetes.io": z.looseObject({
    pod: z.looseObject({ uid: z.string() }),
    serviceaccount: z.looseObject({ uid: z.string() }),
  }),
});

/** Why a token must not be exchanged for a pod. */
export interface TokenProblem {
  /** A sentence without the token. */
  readonly problem: string;
  /** Whether it does not say that it is of this pod; else only its audience is another. */
  readonly isDisputed: boolean;
}

/**
 * Why a token must not be exchanged for this pod; undefined when nothing is wrong with it. Role and
 * token have to be of the same pod, so that a mistake about who is asking ends here. Signature and
 * times are left to STS, which has the say and a good clock.
 */
export function tokenProblem(
  token: string,
  { caller, role }: CredentialRequest,
): TokenProblem | undefined {
  const claims = claimsOf(token);
  if (claims === undefined) return disputed("it is no ServiceAccount token that is bound to a pod");
  const { pod, serviceaccount } = claims["kubernetes.io"];
  const audiences = [claims.aud].flat();
  const subject = `system:serviceaccount:${caller.namespace}:${caller.serviceAccount}`;
  if (claims.sub !== subject) return disputed(`its subject is not ${subject}`);
  if (pod.uid !== caller.podUid) return disputed(`it is of another pod than ${caller.podUid}`);
  const { serviceAccountUid = serviceaccount.uid } = role;
  if (serviceaccount.uid !== serviceAccountUid) {
    return disputed("it is of an earlier ServiceAccount of the same name");
  }
  // STS refuses a token with two (see the stand-in's recorded rows).
  if (audiences.length !== 1 || audiences[0] !== role.audience) {
    const problem = `its audience is not ${JSON.stringify(role.audience)} alone`;
    return { problem, isDisputed: false };
  }
  return undefined;
}

function disputed(problem: string): TokenProblem {
  return { problem, isDisputed: true };
}

function claimsOf(token: string): z.infer<typeof Claims> | undefined {
  try {
    return Claims.safeParse(decodeJwt(token)).data;
  } catch {
    // The decoder's own error may quote parts of it.
    return undefined;
  }
}
