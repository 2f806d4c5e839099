import type { Setback } from "./setback.ts";

/** How a list-watch has fared lately; it decides how patiently to go on. */
export interface Standing {
  /** Tries in a row that failed; sets the back-off. */
  readonly failures: number;
  /** Watches in a row that an answering server gave nothing on. */
  readonly fruitless: number;
  /** Lists in a row that took longer than the server remembers their state. */
  readonly expiries: number;
}

export const FRESH: Standing = { failures: 0, fruitless: 0, expiries: 0 };

/** A watch that lived this long, or told anything, shows that the server works. */
export const PROOF_MS = 10_000;
/** A watch that ends sooner was not ended by its timeout. */
export const SHORT_WATCH_MS = 1000;
/** After so many fruitless watches it is listed anew: their resourceVersion may be the trouble. */
export const MAX_FRUITLESS = 3;

/**
 * A complete list. It does not forgive failures: only a watch that works does, or a server whose
 * lists succeed and whose watches fail would be listed again and again without a pause.
 */
export function afterList(standing: Standing): Standing {
  return { ...standing, fruitless: 0, expiries: 0 };
}

export function afterFailedList(standing: Standing, kind: Setback["kind"]): Standing {
  return {
    ...standing,
    failures: standing.failures + 1,
    expiries: standing.expiries + (kind === "gone" ? 1 : 0),
  };
}

/** How a watch went. */
export interface WatchReport {
  /** Whether the server answered at all. */
  readonly reached: boolean;
  /** Events and bookmarks that came. */
  readonly news: number;
  readonly livedMs: number;
  /** `ended` by the server without an error, `silent` when cut for silence, else what failed. */
  readonly end: "ended" | "silent" | Setback["kind"];
}

export function afterWatch(
  standing: Standing,
  { reached, news, livedMs, end }: WatchReport,
): { readonly standing: Standing; readonly failed: boolean; readonly relist: boolean } {
  const works = news > 0 || livedMs >= PROOF_MS;
  const failed = end !== "ended" || livedMs < SHORT_WATCH_MS;
  const gaveNothing = news === 0 && (end === "answered" || end === "silent" || !works);
  const fruitless = reached ? (gaveNothing ? standing.fruitless + 1 : 0) : standing.fruitless;
  return {
    standing: {
      ...standing,
      failures: (works ? 0 : standing.failures) + (failed ? 1 : 0),
      fruitless,
    },
    failed,
    relist: end === "gone" || fruitless >= MAX_FRUITLESS,
  };
}
