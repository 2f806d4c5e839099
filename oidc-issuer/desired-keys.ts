import type { Logger } from "../lib/log.ts";
import { renderDocuments, type Documents } from "./documents.ts";
import {
  combineKeyStates,
  EMPTY_KEY_STATE,
  nextKeyState,
  type KeyState,
  type MergeRules,
  type SourceView,
} from "./merge.ts";
import type { Metrics } from "./metrics.ts";

export interface DesiredKeysOptions {
  readonly issuerUrl: string;
  readonly rules: Omit<MergeRules, "nowMs">;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly metrics: Pick<Metrics, "merged">;
}

/** The one desired JWKS that serving, publishing and storing are fed from. */
export interface DesiredKeys {
  state(): KeyState;
  /** Rendered when the keys change, not when asked; undefined while there is no key. */
  documents(): Documents | undefined;
  /** Kids that came with different keys, as of the latest merge. */
  conflicts(): readonly string[];
  /** Takes in what the sources serve now. */
  merge(views: readonly SourceView[], nowMs: number): void;
  /** Takes in what was known elsewhere: stored before a restart, or by another replica. */
  adopt(other: KeyState): void;
}

/** Holds the desired keys, and tells the log what changed and what needs a human. */
export function createDesiredKeys(options: DesiredKeysOptions): DesiredKeys {
  const { issuerUrl, rules, log, metrics } = options;
  let state = EMPTY_KEY_STATE;
  let documents: Documents | undefined;
  let conflicts: readonly string[] = [];
  const told = new Map<string, string>();

  function replace(next: KeyState): void {
    const keys = next.keys.map(({ jwk }) => jwk);
    const same =
      JSON.stringify(keys) === JSON.stringify(state.keys.map(({ jwk }) => jwk)) &&
      documents !== undefined;
    if (!same && keys.length > 0) documents = renderDocuments(issuerUrl, keys);
    state = next;
  }

  /** Logs a lasting problem when it begins or changes, not at each poll. */
  function tellOnce(kids: readonly string[], message: string): void {
    const text = kids.join(" ");
    if ((told.get(message) ?? "") !== text && kids.length > 0) log.error({ kids }, message);
    told.set(message, text);
  }

  return {
    state: () => state,
    documents: () => documents,
    conflicts: () => conflicts,
    merge(views, nowMs) {
      const merged = nextKeyState(state, views, { ...rules, nowMs });
      replace(merged.state);
      ({ conflicts } = merged);
      const { added, retired, overLimit, unretirable } = merged;
      if (added.length > 0) log.info({ kids: added }, "Added keys");
      for (const kid of retired) {
        const why = rules.retireKids.has(kid) ? "asked by --retire-kid" : "absent everywhere";
        log.warn({ kid, why }, "Retired a key");
      }
      tellOnce(conflicts, "Sources serve different keys under one kid; the published one stays");
      tellOnce(overLimit, "Withheld new keys: STS accepts no more than 100 of a type");
      tellOnce(unretirable, "Kept keys that are to be retired, since no other key would be left");
      metrics.merged({
        keys: state.keys,
        conflicts: conflicts.length,
        overLimit: overLimit.length,
      });
    },
    adopt(other) {
      const keys = other.keys.filter(({ jwk }) => !rules.retireKids.has(jwk.kid));
      const combined = combineKeyStates(state, { ...other, keys });
      replace(combined.keys.length > 0 ? combined : other);
      metrics.merged({ keys: state.keys, conflicts: conflicts.length, overLimit: 0 });
    },
  };
}
