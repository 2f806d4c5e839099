import type { FilterReason, PublicJwk } from "./jwk.ts";

/** Why a poll gave no keys; also the label of the metric that counts such polls. */
export const POLL_FAILURES = ["empty", "invalid", "refused", "unreachable", "unreadable"] as const;
export type PollFailure = (typeof POLL_FAILURES)[number];

export interface Failed {
  readonly reason: PollFailure;
  /** For the log: action, quoted value, what is wanted. */
  readonly message: string;
}

/** A key that a source serves and that is not published. */
export interface FilteredKey {
  readonly reason: FilterReason;
  readonly detail: string;
}

/** At least one key that can be published, and what was left out beside it. */
export interface Answered {
  readonly keys: readonly PublicJwk[];
  readonly filtered: readonly FilteredKey[];
}

/** One place that keys come from: one API server, one file. */
export interface KeySource {
  /** Names it in logs and metrics; unique among all sources. */
  readonly id: string;
  /** Asks it once. Ends soon after `signal` aborts; never rejects for what the outside does. */
  poll(signal: AbortSignal): Promise<Answered | Failed>;
}

/** What knows which sources there are at this moment. */
export interface SourceDirectory {
  readonly id: string;
  list(signal: AbortSignal): Promise<readonly KeySource[] | Failed>;
}

/** A directory of sources that never changes. */
export function fixedSources(id: string, sources: readonly KeySource[]): SourceDirectory {
  return { id, list: () => Promise.resolve(sources) };
}
