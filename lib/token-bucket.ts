import type { Clock } from "./clock.ts";

/** A bound on how often something is done: `burst` at once, and `perMinute` in the long run. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perMs: number;
  readonly #clock: Pick<Clock, "now">;
  #tokens: number;
  #atMs: number;

  constructor({
    burst,
    perMinute,
    clock,
  }: {
    readonly burst: number;
    readonly perMinute: number;
    readonly clock: Pick<Clock, "now">;
  }) {
    this.#burst = burst;
    this.#perMs = perMinute / 60_000;
    this.#clock = clock;
    this.#tokens = burst;
    this.#atMs = clock.now();
  }

  /** Takes one; false when there is none. */
  take(): boolean {
    const nowMs = this.#clock.now();
    // A clock that is set back gives nothing.
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#tokens = Math.min(this.#burst, this.#tokens + passedMs * this.#perMs);
    // What was added up in fractions may miss a whole one by a rounding error.
    if (this.#tokens < 1 - 1e-9) return false;
    this.#tokens -= 1;
    return true;
  }
}
