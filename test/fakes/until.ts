import { setImmediate as nextTurn, setTimeout as sleep } from "node:timers/promises";

/** Waits for what is named, as soon as it holds. */
export type Until = (what: string, holds: () => boolean | Promise<boolean>) => Promise<void>;

/**
 * Waits for something that comes about by itself, as soon as sockets have been served.
 *
 * @throws Error when it has not come about within a limit that only a broken program reaches.
 */
export const until: Until = untilWithin({ limitMs: 30_000, pauseMs: 0 });

/** The same with another limit, and a pause between two looks for what costs a request each. */
export function untilWithin({
  limitMs,
  pauseMs,
}: {
  readonly limitMs: number;
  readonly pauseMs: number;
}): Until {
  return async (what, holds) => {
    const endMs = performance.now() + limitMs;
    while (!(await holds())) {
      if (performance.now() > endMs) throw new Error(`Waited in vain until ${what}`);
      await (pauseMs === 0 ? nextTurn() : sleep(pauseMs));
    }
  };
}
