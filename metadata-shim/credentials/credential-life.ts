import type { Credentials } from "./credentials.ts";

/**
 * The least life of credentials that are handed out without trying for newer ones: botocore and s3fs
 * take less for nearly expired, and ask again and again (see the documentation).
 */
export const GOOD_LIFE_MS = 25 * 60_000;

/**
 * Credentials with no more than this are never handed out: some SDKs hang on them for ever, and they
 * end on the way to AWS.
 */
export const LEAST_LIFE_MS = 60_000;

/** Credentials are renewed between these parts of their life left; nodes must not renew as one. */
const EARLIEST_PART = 0.6;
const LATEST_PART = 0.5;

/** Credentials with what their life is measured by. */
export interface Held {
  readonly credentials: Credentials;
  /** How long they were good for when they came. */
  readonly lifeMs: number;
  /** When they came, by a clock that nobody sets. */
  readonly issuedMonotonicMs: number;
  /** They are renewed when no more than this is left. */
  readonly renewBelowMs: number;
}

/** Both clocks of this node. */
export interface Instant {
  readonly nowMs: number;
  /** Since any moment; never set, but stopped while the machine sleeps. */
  readonly monotonicMs: number;
}

/**
 * @param durationMs What was asked of AWS: by a clock that is behind, an expiry looks further away.
 * @param random A number in [0, 1).
 */
export function hold(
  credentials: Credentials,
  { durationMs, random, monotonicMs }: { durationMs: number; random: number; monotonicMs: number },
): Held {
  const lifeMs = Math.min(durationMs, credentials.expiresAtMs - credentials.issuedAtMs);
  const part = LATEST_PART + (EARLIEST_PART - LATEST_PART) * random;
  return { credentials, lifeMs, issuedMonotonicMs: monotonicMs, renewBelowMs: lifeMs * part };
}

/** How long they are still good for: by the expiry, and by the time that has passed, whichever is less. */
export function leftMs(held: Held, { nowMs, monotonicMs }: Instant): number {
  const byExpiry = held.credentials.expiresAtMs - nowMs;
  const byAge = held.lifeMs - (monotonicMs - held.issuedMonotonicMs);
  return Math.min(byExpiry, byAge);
}
