import { executionAsyncResource } from "node:async_hooks";
// oxlint-disable-next-line eslint/no-restricted-imports -- it makes a tick, and reads nothing
import { nextTick } from "node:process";

const kept: object[] = [];

/**
 * Keeps `process.nextTick` quick, by keeping the object of one tick. V8 forgets the shape of these objects
 * when it collects garbage at a moment that has none, which comes in each program that rests. The next
 * one gets a new shape, and the code that makes them is several times slower once it has met two; each
 * answer over HTTP has some ticks.
 *
 * To be called before a program first rests: what is forgotten stays so.
 */
export function keepTicksQuick(): void {
  if (kept.length > 0) return;
  nextTick(() => kept.push(executionAsyncResource()));
}
