import { atMost, type ByConnections, type Cell, type ComparedCell, type Goal } from "./result.ts";

/**
 * What pods ask the shim for: `list` of roles, cached `credentials` of the metadata service, those of
 * the `container` endpoint, and a session `token`.
 */
export const REQUESTS = ["list", "credentials", "container", "token"] as const;
export type RequestName = (typeof REQUESTS)[number];

/** One of each. */
export function byRequest<T>(of: (name: RequestName) => T): Readonly<Record<RequestName, T>> {
  return {
    list: of("list"),
    credentials: of("credentials"),
    container: of("container"),
    token: of("token"),
  };
}

/** Those whose answers the shim keeps. */
export const CACHED = ["credentials", "container"] as const;
export type CachedName = (typeof CACHED)[number];

/** A load with what it costs the server, which is the same however busy the machine is. */
export interface CostedCell extends Cell {
  /** The longest wait for the first answer on a connection, when all of them ask at once. */
  readonly slowestFirstMs: number;
  /** Time on a core for each request, in microseconds. */
  readonly cpuUs: number;
}

/** A load on the shim, next to the same load on the bare server in the same round. */
export interface ShimCell extends ComparedCell, CostedCell {
  /** Time on a core of the bare server over that of the shim. */
  readonly cpuRatio: number;
}

/** All that was measured of the shim; medians of the rounds. */
export interface ShimMeasured {
  /** In the cluster, and of them on the node. */
  readonly pods: number;
  readonly podsOfNode: number;
  readonly rounds: number;
  readonly secondsPerLoad: number;
  readonly node: string;
  /** Whether server and load were kept on cores of their own. */
  readonly separateCores: boolean;
  readonly bodyBytes: Readonly<Record<RequestName, number>>;
  /** MB of 10^6 bytes: all pods known, credentials of all of them kept, and after all loads. */
  readonly residentMb: {
    readonly ready: number;
    readonly withCredentials: number;
    readonly afterLoad: number;
  };
  readonly bare: Readonly<Record<RequestName, ByConnections<CostedCell>>>;
  readonly shim: Readonly<Record<RequestName, ByConnections<ShimCell>>>;
  /** At 8 connections while events of the node's pods come in. */
  readonly whileEvents: Readonly<Record<CachedName, Cell & { readonly eventsPerSecond: number }>>;
}

const LEAST_THROUGHPUT_RATIO = 0.7;
const MOST_P99_MS = 10;
const MOST_RESIDENT_MB = 90;
/** What is sent to the shim while it is measured so. */
export const EVENTS_PER_SECOND = 500;
const LEAST_EVENTS_PER_SECOND = 0.9 * EVENTS_PER_SECOND;

/** What was wanted, and whether it was reached: by the worst number of connections. */
export function shimGoalsOf({ shim, whileEvents, residentMb }: ShimMeasured): readonly Goal[] {
  const ratios = REQUESTS.map((name) => {
    const value = Math.min(...Object.values(shim[name]).map((cell) => cell.throughputRatio));
    return {
      goal: `${name}: throughput at least ${LEAST_THROUGHPUT_RATIO} of a bare server`,
      value,
      met: value >= LEAST_THROUGHPUT_RATIO,
    };
  });
  const latencies = CACHED.flatMap((name) => {
    const quiet = Math.max(...Object.values(shim[name]).map(({ p99Ms }) => p99Ms));
    const { p99Ms, eventsPerSecond } = whileEvents[name];
    return [
      { goal: `${name}: p99 below ${MOST_P99_MS} ms`, value: quiet, met: quiet < MOST_P99_MS },
      {
        goal: `${name}: p99 below ${MOST_P99_MS} ms while events come in`,
        value: p99Ms,
        met: p99Ms < MOST_P99_MS,
      },
      // Else there was less to disturb it than the goal before says.
      {
        goal: `${name}: at least ${LEAST_EVENTS_PER_SECOND} of ${EVENTS_PER_SECOND} events a second came in`,
        value: eventsPerSecond,
        met: eventsPerSecond >= LEAST_EVENTS_PER_SECOND,
      },
    ];
  });
  return [
    ...ratios,
    ...latencies,
    memoryGoal("with all pods known", residentMb.ready),
    memoryGoal("with credentials of all pods of the node", residentMb.withCredentials),
    memoryGoal("after the load", residentMb.afterLoad),
  ];
}

function memoryGoal(when: string, valueMb: number): Goal {
  return atMost(`at most ${MOST_RESIDENT_MB} MB resident ${when}`, valueMb, MOST_RESIDENT_MB);
}
