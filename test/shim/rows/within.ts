import assert from "node:assert/strict";
import type { Reply } from "../../fakes/ask.ts";

const TRIES = 3;

/**
 * Asks some times and gives the last reply. The fastest must have come within the time of the row's
 * sentence: each alone may have had to wait for what else the machine does. The slowest must have come
 * within ten times that.
 */
export async function within(limitMs: number, asking: () => Promise<Reply>): Promise<Reply> {
  const times: number[] = [];
  for (;;) {
    const startMs = performance.now();
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const reply = await asking();
    times.push(performance.now() - startMs);
    if (times.length < TRIES) continue;
    const told = times.map((ms) => `${ms.toFixed(0)} ms`).join(", ");
    assert.ok(Math.min(...times) < limitMs, `${told}; expected ${limitMs} ms`);
    assert.ok(Math.max(...times) < 10 * limitMs, `${told}; expected ${10 * limitMs} ms at most`);
    return reply;
  }
}
