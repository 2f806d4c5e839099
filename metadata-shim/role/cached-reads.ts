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

interface Reading<T> {
  readonly value: T | undefined;
  /** When it began. */
  readonly atMs: number;
  /** When the API server last did not answer since. */
  readonly failedMs?: number | undefined;
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
  readonly #known = new LRUCache<string, Reading<T>>({ max: MAX_OBJECTS });

  constructor(deps: CachedReadsDeps<T>) {
    this.#deps = deps;
  }

  /**
   * @param path As in `namespaces/a`: from `/api/v1` on.
   * @returns undefined when there is no such object.
   * @throws AppError KUBERNETES_FORBIDDEN, KUBERNETES_REFUSED, KUBERNETES_UNAVAILABLE when nothing was
   *   ever known of it and nothing stands for it.
   */
  get(path: string): Soon<T | undefined> {
    const known = this.#known.get(path);
    if (known === undefined) return this.#read(path, undefined);
    return this.#isUsable(known, this.#deps.clock.now()) ? known.value : this.#newer(path, known);
  }

  async #newer(path: string, known: Reading<T>): Promise<T | undefined> {
    const { clock } = this.#deps;
    const reading = this.#read(path, known);
    const patience = new AbortController();
    try {
      const late = clock.sleep(PATIENCE_MS, patience.signal).then(() => {
        if (!patience.signal.aborted) this.#set(path, { ...known, failedMs: clock.now() });
        return known.value;
      });
      return await Promise.race([reading, late]);
    } finally {
      patience.abort();
    }
  }

  /** Never rejects when something is known. */
  async #read(path: string, known: Reading<T> | undefined): Promise<T | undefined> {
    const { reads, fallbackOf, clock, log } = this.#deps;
    const nowMs = clock.now();
    try {
      const value = await reads.read(path.split("/"));
      this.#set(path, { value, atMs: nowMs });
      return value;
    } catch (err) {
      const isUnread = known === undefined || known.isFallback === true;
      const value = isUnread ? fallbackOf?.(err) : undefined;
      if (value !== undefined) {
        this.#set(path, { value, atMs: nowMs, isFallback: true });
        return value;
      }
      if (known === undefined) throw err;
      this.#set(path, { ...known, failedMs: clock.now() });
      log.warn({ object: path, reason: reasonOf(err) }, "Using what is known of an object");
      return known.value;
    }
  }

  #isUsable({ atMs, failedMs }: Reading<T>, nowMs: number): boolean {
    // A clock that was set back makes nothing younger.
    const isWithin = (sinceMs: number, ms: number): boolean =>
      nowMs >= sinceMs && nowMs - sinceMs < ms;
    return (
      isWithin(atMs, this.#deps.maxAgeMs) ||
      (failedMs !== undefined && isWithin(failedMs, RETRY_MS))
    );
  }

  /** Unless a reading that began later has come before: one of before the clock was set back did not. */
  #set(path: string, reading: Reading<T>): void {
    const nowMs = this.#deps.clock.now();
    const beganMs = ({ atMs }: Reading<T>): number => (atMs > nowMs ? -Infinity : atMs);
    const known = this.#known.get(path);
    if (known === undefined || beganMs(known) <= beganMs(reading)) this.#known.set(path, reading);
  }
}
