import { sanitizeJwk } from "../../oidc-issuer/jwk.ts";
import type { KeyState } from "../../oidc-issuer/merge.ts";
import { servedKey } from "./key-api-server.ts";

/** A state of new keys with these names, all seen lately. */
export function stateWith(...kids: readonly string[]): KeyState {
  const seen = { firstSeenMs: 1000, lastSeenMs: 2000, absentSinceMs: undefined };
  const keys = kids.map((kid) => {
    const result = sanitizeJwk(servedKey(kid));
    if (!("jwk" in result)) throw new Error(`Expected a key that can be published: ${kid}`);
    return { jwk: result.jwk, ...seen };
  });
  return { keys, lastCompleteMs: 2000 };
}
