import { decodeProtectedHeader, errors, jwtVerify } from "jose";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { whenThere, type Soon } from "../../lib/soon.ts";
import { boundPodOf, type BoundPod } from "./bound-pod.ts";
import type { ClusterKeys } from "./cluster-keys.ts";

/** What is found of a bearer token. */
export type TokenVerdict =
  | { readonly status: "good"; readonly pod: BoundPod }
  /** It is no JSON Web Token at all. */
  | { readonly status: "unreadable" }
  | { readonly status: "expired" }
  | { readonly status: "early" }
  /** It is not the cluster's, not for this audience, or of no pod. */
  | { readonly status: "invalid"; readonly problem: string }
  | { readonly status: "unavailable"; readonly problem: string };

export type VerifyToken = (token: string) => Soon<TokenVerdict>;

/** Those that an API server signs with (`--service-account-signing-key-file`). */
const ALGORITHMS = ["RS256", "ES256", "ES384", "ES512"];
/** The clock of the node may be so far from the API server's. */
const CLOCK_SKEW_SECONDS = 10;
/** Pods show the same token for an hour or a day, and a node has some hundred pods. */
const MAX_REMEMBERED = 2048;

/**
 * Of a token's end, by which it is looked for: a part of the signature. Two that share it only push each
 * other out, since the whole token is compared.
 */
const KEY_CHARACTERS = 43;

interface Remembered {
  /** As a whole. */
  readonly token: string;
  readonly verdict: TokenVerdict;
  readonly notBeforeMs: number;
  readonly expiresAtMs: number;
}

/**
 * Makes the function that verifies ServiceAccount tokens here, against the keys of the cluster: the
 * signature, the audience, the times, and that it is bound to a pod. Whether that pod still lives is
 * another question. A good token is remembered, as long as the keys stay the same.
 */
export function createTokenVerifier({
  keys,
  audience,
  clock,
}: {
  readonly keys: Pick<ClusterKeys, "get" | "generation" | "refresh">;
  readonly audience: string;
  readonly clock: Pick<Clock, "now">;
}): VerifyToken {
  const remembered = new LRUCache<string, Remembered>({ max: MAX_REMEMBERED });
  let generation = keys.generation;

  return (token) =>
    whenThere(keys.refresh(), () => {
      forgetIfKeysChanged();
      // Not by all of the token, nor by `get`: to hash a thousand characters, and to note the use, take
      // longer than the rest. What is dropped is verified again.
      const known = remembered.peek(keyOf(token));
      const nowMs = clock.now();
      if (known?.token === token && known.notBeforeMs <= nowMs && nowMs < known.expiresAtMs) {
        return known.verdict;
      }
      if (!isJsonWebToken(token)) return { status: "unreadable" };
      return verify(token, new Date(nowMs)).catch(verdictOf);
    });

  function forgetIfKeysChanged(): void {
    if (generation === keys.generation) return;
    generation = keys.generation;
    remembered.clear();
  }

  async function verify(token: string, currentDate: Date): Promise<TokenVerdict> {
    const before = keys.generation;
    const { payload } = await jwtVerify(token, keys.get, {
      audience,
      algorithms: ALGORITHMS,
      currentDate,
      clockTolerance: CLOCK_SKEW_SECONDS,
      requiredClaims: ["exp", "sub", "aud"],
    });
    const pod = boundPodOf(payload);
    if (typeof pod === "string") return { status: "invalid", problem: pod };
    const verdict = { status: "good", pod } as const;
    const { nbf = 0, exp = 0 } = payload;
    // A key that was taken away meanwhile is trusted this once, and never again.
    if (keys.generation === before) {
      const period = { notBeforeMs: nbf * 1000, expiresAtMs: exp * 1000 };
      remembered.set(keyOf(token), { token, verdict, ...period });
    }
    return verdict;
  }
}

function keyOf(token: string): string {
  return token.slice(-KEY_CHARACTERS);
}

function isJsonWebToken(token: string): boolean {
  try {
    decodeProtectedHeader(token);
    return token.split(".").length === 3;
  } catch {
    return false;
  }
}

function verdictOf(err: unknown): TokenVerdict {
  if (err instanceof AppError) return { status: "unavailable", problem: err.message };
  if (err instanceof errors.JWTExpired) return { status: "expired" };
  if (err instanceof errors.JWTClaimValidationFailed) {
    if (err.claim === "nbf") return { status: "early" };
    return {
      status: "invalid",
      problem: `its claim ${JSON.stringify(err.claim)} is not as wanted`,
    };
  }
  if (err instanceof errors.JWKSNoMatchingKey) {
    return { status: "invalid", problem: "it is not signed with a key of this cluster" };
  }
  if (err instanceof errors.JWSSignatureVerificationFailed) {
    return { status: "invalid", problem: "its signature is wrong" };
  }
  if (err instanceof errors.JOSEError) {
    return { status: "invalid", problem: "it is not a signed token that is taken here" };
  }
  throw err;
}
