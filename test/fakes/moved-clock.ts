import type { Clock } from "../../lib/clock.ts";

/** A clock that stands still until it is moved. */
export interface MovedClock extends Clock {
  /** Moves it, and wakes whoever has slept long enough. */
  advance(ms: number): void;
  /** How long each current sleeper has still to sleep, shortest first. */
  sleepers(): readonly number[];
}

export function createMovedClock(startMs = Date.UTC(2026, 0, 1)): MovedClock {
  let nowMs = startMs;
  const sleeping = new Set<{ readonly untilMs: number; readonly wake: () => void }>();
  return {
    now: () => nowMs,
    sleep(ms, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (signal?.aborted === true) {
        resolve();
        return promise;
      }
      const wake = (): void => {
        sleeping.delete(sleeper);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const sleeper = { untilMs: nowMs + ms, wake };
      sleeping.add(sleeper);
      signal?.addEventListener("abort", wake, { once: true });
      return promise;
    },
    advance(ms) {
      nowMs += ms;
      for (const { untilMs, wake } of sleeping) if (untilMs <= nowMs) wake();
    },
    sleepers: () => [...sleeping].map(({ untilMs }) => untilMs - nowMs).toSorted((a, b) => a - b),
  };
}
