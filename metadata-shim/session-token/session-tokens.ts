import { randomBytes } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Clock } from "../../lib/clock.ts";
import { issueSessionToken, TOKEN_NONCE_CHARACTERS, tokenEndMs } from "./session-token.ts";

/** The making and proving of session tokens, with key and clock. */
export interface SessionTokens {
  issue(address: string, ttlSeconds: number): string;
  /** Seconds that a token still holds for an address; undefined when it does not. */
  remainingSeconds(token: string, address: string): number | undefined;
}

/** Clients show a token for hours, and before each call; a node has some hundred pods. */
const MAX_PROVEN = 4096;
/** For 512 tokens: asking for random bytes has a price of its own, however few they are. */
const NONCE_BYTES_AT_ONCE = 3072;

/**
 * Makes session tokens of a key, and proves them. That one was proven is remembered, with its end:
 * the proof is a good part of the work of an answer. Nothing depends on what is remembered.
 *
 * @param key {@link TOKEN_KEY_BYTES} bytes.
 */
export function createSessionTokens(key: Buffer, clock: Pick<Clock, "now">): SessionTokens {
  const secret = key.toString("base64url");
  const proven = new LRUCache<string, { readonly address: string; readonly untilMs: number }>({
    max: MAX_PROVEN,
  });
  let nonces = "";

  function newNonce(): string {
    if (nonces.length < TOKEN_NONCE_CHARACTERS) {
      nonces = randomBytes(NONCE_BYTES_AT_ONCE).toString("base64url");
    }
    const nonce = nonces.slice(0, TOKEN_NONCE_CHARACTERS);
    nonces = nonces.slice(TOKEN_NONCE_CHARACTERS);
    return nonce;
  }

  return {
    issue: (address, ttlSeconds) => {
      const scope = { key: secret, address, nowMs: clock.now() };
      return issueSessionToken(scope, { ttlSeconds, nonce: newNonce() });
    },
    remainingSeconds(token, address) {
      const nowMs = clock.now();
      // Not `get`, which takes longer to note the use than to find it: what is dropped is proven again.
      const known = proven.peek(token);
      const untilMs = known?.address === address ? known.untilMs : prove(token, address);
      return untilMs !== undefined && untilMs > nowMs
        ? Math.ceil((untilMs - nowMs) / 1000)
        : undefined;
    },
  };

  function prove(token: string, address: string): number | undefined {
    const untilMs = tokenEndMs(token, { key: secret, address });
    if (untilMs !== undefined) proven.set(token, { address, untilMs });
    return untilMs;
  }
}
