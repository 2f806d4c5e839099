import { isSameKey, type PublicJwk } from "./jwk.ts";

/** A key of the published set with what is known about it. */
export interface KnownKey {
  readonly jwk: PublicJwk;
  readonly firstSeenMs: number;
  /** When a source last served it. */
  readonly lastSeenMs: number;
  /** Since when no source has served it, while all of them answered; undefined while one does. */
  readonly absentSinceMs: number | undefined;
}

/** The desired JWKS: what is served and published, and what must survive a restart. */
export interface KeyState {
  /** Sorted by `kid`, so that replicas with the same keys publish the same bytes. */
  readonly keys: readonly KnownKey[];
  /** When every source had answered at once for the last time. */
  readonly lastCompleteMs: number | undefined;
}

export const EMPTY_KEY_STATE: KeyState = { keys: [], lastCompleteMs: undefined };

/** What is known of one source at this moment: the outcome of its latest poll. */
export type SourceView =
  | { readonly id: string; readonly outcome: "pending" | "failed" }
  | {
      readonly id: string;
      readonly outcome: "answered";
      readonly keys: readonly PublicJwk[];
      readonly atMs: number;
    };

export interface MergeRules {
  readonly nowMs: number;
  /** How long a key must be absent everywhere before it is removed. */
  readonly retireAfterMs: number;
  /** Keys that the operator removes now, also when a source still serves them. */
  readonly retireKids: ReadonlySet<string>;
}

/** The next state, and what an operator should hear about. */
export interface Merged {
  readonly state: KeyState;
  readonly added: readonly string[];
  readonly retired: readonly string[];
  /** Kids that came with different keys. A published one keeps its key, a new one is withheld. */
  readonly conflicts: readonly string[];
  /** New kids that would exceed the number of keys STS accepts; withheld. */
  readonly overLimit: readonly string[];
  /** Kids that the operator wants removed and that stay, since nothing would be left. */
  readonly unretirable: readonly string[];
}

// IAM and STS quotas: more keys of a type than this make STS refuse every token of that type.
const MAX_KEYS_PER_TYPE = 100;

/**
 * An absence counts only while somebody looks: a longer time between two complete views starts the
 * wait again. Long enough for a job that runs every hour.
 */
export const MAX_VIEW_GAP_MS = 2 * 3_600_000;

/**
 * Merges what the sources serve into the set that is published: the union by `kid`.
 *
 * Keys come in with the first good answer, but leave only when all sources have answered without them
 * for `retireAfterMs` without a gap, or when the operator retires them. A source that fails, hangs or
 * answers without a key removes nothing. A first set waits until no source is pending, so that a new
 * replica does not start with a part of it. The result does not depend on the order of sources or
 * keys, and merging the same view again changes nothing.
 */
export function nextKeyState(
  previous: KeyState,
  sources: readonly SourceView[],
  { nowMs, retireAfterMs, retireKids }: MergeRules,
): Merged {
  if (previous.keys.length === 0 && sources.some(({ outcome }) => outcome === "pending")) {
    return unchanged(previous);
  }
  const { offers, conflicts } = offersOf(previous.keys, sources);
  const complete = isComplete(sources, nowMs);

  const { lastCompleteMs } = previous;
  const gapless =
    lastCompleteMs !== undefined &&
    lastCompleteMs <= nowMs &&
    nowMs - lastCompleteMs <= MAX_VIEW_GAP_MS;
  const known = previous.keys.map((key): KnownKey => {
    const offer = offers.get(key.jwk.kid);
    if (offer !== undefined) {
      const lastSeenMs = Math.max(key.lastSeenMs, offer.atMs);
      return { ...key, lastSeenMs, absentSinceMs: undefined };
    }
    if (!complete) return key;
    return { ...key, absentSinceMs: gapless ? (key.absentSinceMs ?? nowMs) : nowMs };
  });
  const remaining = known.filter(
    ({ absentSinceMs }) =>
      !complete || absentSinceMs === undefined || nowMs - absentSinceMs < retireAfterMs,
  );
  const { admitted, overLimit } = admit(remaining, offers, retireKids);

  const candidates = [...remaining, ...admitted].toSorted((a, b) => byText(a.jwk.kid, b.jwk.kid));
  const wanted = candidates.filter(({ jwk }) => !retireKids.has(jwk.kid));
  const unretirable = wanted.length === 0 ? candidates.map(({ jwk }) => jwk.kid) : [];
  // Never empty: what cannot be replaced stays.
  const keys = [wanted, candidates, known].find(({ length }) => length > 0) ?? [];

  const before = new Set(previous.keys.map(({ jwk }) => jwk.kid));
  const after = new Set(keys.map(({ jwk }) => jwk.kid));
  return {
    state: { keys, lastCompleteMs: complete ? nowMs : lastCompleteMs },
    added: [...after].filter((kid) => !before.has(kid)),
    retired: [...before].filter((kid) => !after.has(kid)),
    conflicts,
    overLimit: overLimit.filter((kid) => !retireKids.has(kid)),
    unretirable,
  };
}

/**
 * One state of two that were kept apart, such as those of two replicas: the union, with the earliest
 * first and the latest last sighting. Where both know a `kid` with different keys, `mine` wins.
 */
export function combineKeyStates(mine: KeyState, other: KeyState): KeyState {
  const keys = new Map(mine.keys.map((key) => [key.jwk.kid, key]));
  for (const key of other.keys) {
    const own = keys.get(key.jwk.kid);
    if (own === undefined) keys.set(key.jwk.kid, key);
    else if (isSameKey(own.jwk, key.jwk)) keys.set(key.jwk.kid, combineKeys(own, key));
  }
  return {
    keys: [...keys.values()].toSorted((a, b) => byText(a.jwk.kid, b.jwk.kid)),
    lastCompleteMs: latest(mine.lastCompleteMs, other.lastCompleteMs),
  };
}

interface Offer {
  readonly jwk: PublicJwk;
  readonly atMs: number;
  readonly isNew: boolean;
}

/** What the sources serve now, by `kid`, with the key to publish for it. */
function offersOf(
  known: readonly KnownKey[],
  sources: readonly SourceView[],
): { offers: ReadonlyMap<string, Offer>; conflicts: readonly string[] } {
  const published = new Map(known.map(({ jwk }) => [jwk.kid, jwk]));
  const offers = new Map<string, Offer>();
  const conflicts = new Set<string>();
  for (const source of sources) {
    if (source.outcome !== "answered") continue;
    for (const served of source.keys) {
      const { kid } = served;
      const offer = offers.get(kid);
      const other = published.get(kid) ?? offer?.jwk;
      if (other !== undefined && !isSameKey(other, served)) conflicts.add(kid);
      offers.set(kid, {
        // Sources may name another algorithm for the same RSA key: the published one stays, and of
        // new ones the first by name is taken, whoever answers first.
        jwk: published.get(kid) ?? firstByAlgorithm(offer?.jwk, served),
        atMs: Math.max(offer?.atMs ?? source.atMs, source.atMs),
        isNew: !published.has(kid),
      });
    }
  }
  for (const kid of conflicts) if (!published.has(kid)) offers.delete(kid);
  return { offers, conflicts: [...conflicts].toSorted(byText) };
}

/** The new keys that fit beside the remaining ones, by `kid`: a published key is never pushed out. */
function admit(
  remaining: readonly KnownKey[],
  offers: ReadonlyMap<string, Offer>,
  retireKids: ReadonlySet<string>,
): { admitted: readonly KnownKey[]; overLimit: readonly string[] } {
  const count = { RSA: 0, EC: 0 };
  for (const { jwk } of remaining) count[jwk.kty]++;
  const admitted: KnownKey[] = [];
  const overLimit: string[] = [];
  // Keys that the operator retires come last, so that they take no place from others.
  const ordered = [...offers].toSorted(
    ([a], [b]) => Number(retireKids.has(a)) - Number(retireKids.has(b)) || byText(a, b),
  );
  for (const [kid, { jwk, atMs, isNew }] of ordered) {
    if (!isNew) continue;
    if (count[jwk.kty] === MAX_KEYS_PER_TYPE) {
      overLimit.push(kid);
      continue;
    }
    count[jwk.kty]++;
    admitted.push({ jwk, firstSeenMs: atMs, lastSeenMs: atMs, absentSinceMs: undefined });
  }
  return { admitted, overLimit };
}

// A source without any key is broken, and an old answer is none: neither proves that a key is gone.
function isComplete(sources: readonly SourceView[], nowMs: number): boolean {
  return (
    sources.length > 0 &&
    sources.every(
      (source) =>
        source.outcome === "answered" &&
        source.keys.length > 0 &&
        nowMs - source.atMs <= MAX_VIEW_GAP_MS,
    )
  );
}

function combineKeys(a: KnownKey, b: KnownKey): KnownKey {
  const lastSeenMs = Math.max(a.lastSeenMs, b.lastSeenMs);
  const absentSinceMs = latest(a.absentSinceMs, b.absentSinceMs);
  return {
    jwk: a.jwk,
    firstSeenMs: Math.min(a.firstSeenMs, b.firstSeenMs),
    lastSeenMs,
    absentSinceMs:
      absentSinceMs !== undefined && absentSinceMs > lastSeenMs ? absentSinceMs : undefined,
  };
}

function firstByAlgorithm(a: PublicJwk | undefined, b: PublicJwk): PublicJwk {
  return a === undefined || b.alg < a.alg ? b : a;
}

function latest(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}

function unchanged(state: KeyState): Merged {
  return { state, added: [], retired: [], conflicts: [], overLimit: [], unretirable: [] };
}

// By code unit, the same on every machine.
function byText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
