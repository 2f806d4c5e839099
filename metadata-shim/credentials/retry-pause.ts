import { backoffMs } from "../../lib/backoff.ts";
import type { CredentialFailure } from "./credentials.ts";

/** First and longest pause after a failure, in milliseconds. */
const PAUSES: Readonly<
  Record<CredentialFailure["kind"], { readonly baseMs: number; readonly maxMs: number }>
> = {
  // Somebody has to change a trust policy, and then waits for this.
  refused: { baseMs: 5000, maxMs: 60_000 },
  throttled: { baseMs: 2000, maxMs: 60_000 },
  unavailable: { baseMs: 1000, maxMs: 30_000 },
  // kubelet writes the token before the first container starts, so this is rarely a matter of time.
  "token-missing": { baseMs: 1000, maxMs: 30_000 },
};

/**
 * How long after the failure number `attempt` in a row nothing is tried, in milliseconds: who asks
 * meanwhile is told of that failure.
 *
 * @param random A number in [0, 1).
 */
export function retryPauseMs(failure: CredentialFailure, attempt: number, random: number): number {
  const pauseMs = backoffMs(attempt, { ...PAUSES[failure.kind], random });
  return Math.max(pauseMs, failure.retryAfterMs ?? 0);
}
