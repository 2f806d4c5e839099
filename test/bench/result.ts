/** One load on one server. */
export interface Cell {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A load on the webhook, next to the same load on the calibration. */
export interface ComparedCell extends Cell {
  /** Throughput of the webhook over that of the calibration in the same round. */
  readonly throughputRatio: number;
  /** p99 of the webhook over that of the calibration in the same round. */
  readonly p99Ratio: number;
}

/** By number of connections. */
export type ByConnections<T> = Readonly<Record<string, T>>;

/** `patch`: needs all; `none`: its ServiceAccount has no role; `again`: has been given all before. */
export const REVIEWS = ["patch", "none", "again"] as const;
export type ReviewName = (typeof REVIEWS)[number];

/** All that was measured; medians of the rounds. */
export interface Measured {
  readonly accounts: number;
  readonly annotated: number;
  readonly rounds: number;
  readonly secondsPerLoad: number;
  readonly node: string;
  /** Whether server and load were kept on cores of their own. */
  readonly separateCores: boolean;
  readonly reviewBytes: number;
  /** Of the decoded patch. */
  readonly patchBytes: number;
  readonly startUp: {
    readonly firstCorrectSeconds: number;
    readonly readySeconds: number;
    /** In all starts together. */
    readonly earlyAnswers: number;
    readonly earlyUnmutated: number;
  };
  /** MB of 10^6 bytes. */
  readonly residentMb: { readonly ready: number; readonly afterLoad: number };
  readonly calibration: ByConnections<Cell>;
  readonly webhook: Readonly<Record<ReviewName, ByConnections<ComparedCell>>>;
}

/** A figure that the webhook should reach; it is told, and fails nothing. */
export interface Goal {
  readonly goal: string;
  readonly value: number;
  readonly met: boolean;
}

const LEAST_THROUGHPUT_RATIO = 0.75;
const MOST_P99_RATIO = 2;
const MOST_PATCH_BYTES = 1536;
const MOST_RESIDENT_MB = 120;
const MOST_FIRST_CORRECT_SECONDS = 1;
/** Between one connection, which measures latency alone, and 32, which measures the queue. */
const GOAL_CONNECTIONS = "8";

/** What was wanted, and whether it was reached. */
export function goalsOf(measured: Measured): readonly Goal[] {
  const { startUp, residentMb, patchBytes, webhook } = measured;
  const ratios = REVIEWS.flatMap((name) => {
    const cell = webhook[name][GOAL_CONNECTIONS];
    if (cell === undefined) return [];
    const { throughputRatio, p99Ratio } = cell;
    return [
      {
        goal: `${name}: throughput at least ${LEAST_THROUGHPUT_RATIO} of the calibration`,
        value: throughputRatio,
        met: throughputRatio >= LEAST_THROUGHPUT_RATIO,
      },
      {
        goal: `${name}: p99 below ${MOST_P99_RATIO} times the calibration's`,
        value: p99Ratio,
        met: p99Ratio < MOST_P99_RATIO,
      },
    ];
  });
  return [
    ...ratios,
    atMost(`patch at most ${MOST_PATCH_BYTES} bytes`, patchBytes, MOST_PATCH_BYTES),
    atMost(
      `at most ${MOST_RESIDENT_MB} MB resident after the load`,
      residentMb.afterLoad,
      MOST_RESIDENT_MB,
    ),
    atMost(
      `first correct answer at most ${MOST_FIRST_CORRECT_SECONDS} s after the start`,
      startUp.firstCorrectSeconds,
      MOST_FIRST_CORRECT_SECONDS,
    ),
    atMost(
      "no pod let go without its identity before the cache is full",
      startUp.earlyUnmutated,
      0,
    ),
  ];
}

export function atMost(goal: string, value: number, most: number): Goal {
  return { goal, value, met: value <= most };
}

/** The middle value; the mean of both when there are two. 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.slice(Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2) + 1);
  return middle.reduce((sum, value) => sum + value, 0) / Math.max(1, middle.length);
}
