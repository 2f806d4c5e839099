import type { Clock } from "../../lib/clock.ts";

/** A clock that runs, and may be moved ahead. */
export interface JumpingClock extends Clock {
  /** Moves it, and wakes whoever has slept long enough. */
  jump(ms: number): void;
}

export function createJumpingClock(): JumpingClock {
  let aheadMs = 0;
  const sleeping = new Set<() => void>();
  const now = (): number => Date.now() + aheadMs;
  return {
    now,
    sleep(ms, signal) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const untilMs = now() + ms;
      let timer: NodeJS.Timeout | undefined;
      const wake = (): void => {
        clearTimeout(timer);
        sleeping.delete(look);
        signal?.removeEventListener("abort", wake);
        resolve();
      };
      const look = (): void => {
        clearTimeout(timer);
        const leftMs = untilMs - now();
        if (leftMs <= 0 || signal?.aborted === true) wake();
        else timer = setTimeout(look, Math.min(leftMs, 2 ** 31 - 1));
      };
      sleeping.add(look);
      signal?.addEventListener("abort", wake, { once: true });
      look();
      return promise;
    },
    jump(ms) {
      aheadMs += ms;
      for (const look of sleeping) look();
    },
  };
}
