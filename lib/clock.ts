import { setTimeout as sleep } from "node:timers/promises";

/** Time as an argument, so that a test moves it instead of waiting. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Resolves after `ms` milliseconds, and also, without an error, as soon as `signal` aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Node's timers count in 31 bits, and one that is set for longer goes off at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    try {
      let leftMs = ms;
      do {
        const partMs = Math.min(leftMs, MAX_TIMER_MS);
        await sleep(partMs, undefined, signal === undefined ? {} : { signal });
        leftMs -= partMs;
      } while (leftMs > 0);
    } catch (err) {
      if (signal?.aborted !== true) throw err;
    }
  },
};
