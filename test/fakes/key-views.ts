import type { PublicJwk } from "../../oidc-issuer/jwk.ts";
import type { KeyState, MergeRules, SourceView } from "../../oidc-issuer/merge.ts";

export const MINUTE = 60_000;
export const HOUR = 60 * MINUTE;
export const RETIRE_AFTER = 26 * HOUR;

/** A key of that kid; with another `n`, another key. */
export const rsaKey = (kid: string, n = `n-${kid}`): PublicJwk => ({
  use: "sig",
  kty: "RSA",
  kid,
  alg: "RS256",
  n,
  e: "AQAB",
});
export const ecKey = (kid: string): PublicJwk => ({
  use: "sig",
  kty: "EC",
  kid,
  alg: "ES256",
  crv: "P-256",
  x: `x-${kid}`,
  y: `y-${kid}`,
});

/** Rules of the merge, at a time. */
export const rules = (nowMs: number, retireKids: readonly string[] = []): MergeRules => ({
  nowMs,
  retireAfterMs: RETIRE_AFTER,
  retireKids: new Set(retireKids),
});
/** What a source answered then: keys, or their kids. */
export const answered = (
  id: string,
  atMs: number,
  ...keys: readonly (PublicJwk | string)[]
): SourceView => ({
  id,
  outcome: "answered",
  keys: keys.map((key) => (typeof key === "string" ? rsaKey(key) : key)),
  atMs,
});
export const failed = (id: string): SourceView => ({ id, outcome: "failed" });
export const pending = (id: string): SourceView => ({ id, outcome: "pending" });
/** Since when each key is absent. */
export const absencesOf = ({ keys }: KeyState) => keys.map(({ absentSinceMs }) => absentSinceMs);
export const kidsOf = ({ keys }: KeyState) => keys.map(({ jwk }) => jwk.kid);
