import { LRUCache } from "lru-cache";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import type { LiveReads } from "../../lib/kube/live-reads.ts";
import type { Logger } from "../../lib/log.ts";
import type { Soon } from "../../lib/soon.ts";

export interface CachedReadsDeps<T> {
  readonly reads: Pick<LiveReads<T>, "read">;
  /** What stands for an object of which nothing is known, after such a failure; nothing when undefined. */
  readonly fallbackOf?: ((err: unknown) => T | undefined) | undefined;
  /** How old an answer may be, in milliseconds, when the API server can be asked. */
  readonly maxAgeMs: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, "warn">;
}

/** What is known of an object, and for how long nothing newer is asked for. */
export interface Reading<T> {
  /** Undefined when there is no such object. */
  readonly value: T | undefined;
  readonly use: Period;
}

/** From a time to another one, which is not within it, in milliseconds since the epoch. */
export interface Period {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Whether it may be used now; not before it was made either: a clock was set back then. */
export function isUsable({ use }: Pick<Reading<unknown>, "use">, nowMs: number): boolean {
  return nowMs >= use.fromMs && nowMs < use.untilMs;
}

/** When both of two may be used. */
export function whileBoth(one: Period, other: Period): Period {
  return {
    fromMs: Math.max(one.fromMs, other.fromMs),
    untilMs: Math.min(one.untilMs, other.untilMs),
  };
}

interface KeptReading<T> extends Reading<T> {
  /** When it began. */
  readonly atMs: number;
  /** Whether it only stands for an object that was never read. */
  readonly isFallback?: boolean | undefined;
}

/** A node has some hundred pods. */
const MAX_OBJECTS = 2000;

/** An API server that did not answer is not asked again about the same object for this long. */
const RETRY_MS = 1000;

/**
 * Who is told what is known does not wait longer than this for anything newer: most SDKs give up after a
 * second, and some ask once.
 */
const PATIENCE_MS = 200;

/**
 * Objects that are read when they are needed, and anew once they are older than a few seconds: a node
 * needs a few of the many that a cluster has, and asks for them seldom. While the API server does not
 * answer, what it last said stays true.
 */
export class CachedReads<T> {
  readonly #deps: CachedReadsDeps<T>;
  readonly #known = new LRUCache<string, KeptReading<T>>({ max: MAX_OBJECTS });

  constructor(deps: CachedReadsDeps<T>) {
    this.#deps = deps;
  }

  /**
   * @param path As in `namespaces/a`: from `/api/v1` on.
   * @throws AppError KUBERNETES_FORBIDDEN, KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE when nothing was
   *   ever known of it and nothing stands for it.
   */
  get(path: string): Soon<Reading<T>> {
    const known = this.#known.get(path);
    if (known === undefined) return this.#read(path, undefined);
    return isUsable(known, this.#deps.clock.now()) ? known : this.#newer(path, known);
  }

  async #newer(path: string, known: KeptReading<T>): Promise<Reading<T>> {
    const { clock } = this.#deps;
    const reading = this.#read(path, known);
    const patience = new AbortController();
    try {
      const late = clock
        .sleep(PATIENCE_MS, patience.signal)
        .then(() => (patience.signal.aborted ? known : this.#unanswered(path, known)));
      return await Promise.race([reading, late]);
    } finally {
      patience.abort();
    }
  }

  /** Never rejects when something is known. */
  async #read(path: string, known: KeptReading<T> | undefined): Promise<Reading<T>> {
    const { reads, fallbackOf, maxAgeMs, clock, log } = this.#deps;
    const atMs = clock.now();
    const began = { atMs, use: { fromMs: atMs, untilMs: atMs + maxAgeMs } };
    try {
      const value = await reads.read(path.split("/"));
      return this.#set(path, { ...began, value });
    } catch (err) {
      const isUnread = known === undefined || known.isFallback === true;
      const value = isUnread ? fallbackOf?.(err) : undefined;
      if (value !== undefined) return this.#set(path, { ...began, value, isFallback: true });
      if (known === undefined) throw err;
      log.warn({ object: path, reason: reasonOf(err) }, "Using what is known of an object");
      return this.#unanswered(path, known);
    }
  }

  #unanswered(path: string, known: KeptReading<T>): Reading<T> {
    const nowMs = this.#deps.clock.now();
    return this.#set(path, { ...known, use: { fromMs: nowMs, untilMs: nowMs + RETRY_MS } });
  }

  /** Unless a reading that began later has come before: one of before the clock was set back did not. */
  #set(path: string, reading: KeptReading<T>): Reading<T> {
    const nowMs = this.#deps.clock.now();
    const beganMs = ({ atMs }: KeptReading<T>): number => (atMs > nowMs ? -Infinity : atMs);
    const known = this.#known.get(path);
    if (known === undefined || beganMs(known) <= beganMs(reading)) this.#known.set(path, reading);
    return reading;
  }
}
