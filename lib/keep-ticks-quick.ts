import { executionAsyncResource } from "node:async_hooks";
// oxlint-disable-next-line eslint/no-restricted-imports -- it makes a tick, and reads nothing
import { nextTick } from "node:process";

const kept: object[] = [];

/**
 * Keeps `process.nextTick` as quick as it is at the start of a program, by keeping the object of one
 * tick. V8 forgets the shape of these objects when it collects garbage at a moment that has none, which
 * comes in each program that rests. For the code that makes them the shape after that is a second one,
 * so that it takes five times as long for as long as the program runs; each answer over HTTP has some
 * ticks.
 */
export function keepTicksQuick(): void {
  if (kept.length > 0) return;
  nextTick(() => kept.push(executionAsyncResource()));
}
