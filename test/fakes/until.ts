import { setImmediate as nextTurn } from "node:timers/promises";

const LIMIT_MS = 30_000;

/**
 * Waits for something that comes about by itself, as soon as sockets have been served.
 *
 * @throws Error when it has not come about within a limit that only a broken program reaches.
 */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const limit = performance.now() + LIMIT_MS;
  while (!(await holds())) {
    if (performance.now() > limit) throw new Error(`Waited in vain until ${what}`);
    await nextTurn();
  }
}
