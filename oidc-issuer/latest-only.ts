/**
 * Runs an effect on the newest value only, one run at a time: values that come while it runs replace
 * each other, and the last of them gets a run of its own. The effect must not reject.
 */
export class LatestOnly<T> {
  readonly #effect: (value: T) => Promise<void>;
  #waiting: { readonly value: T } | undefined;
  #running: Promise<void> | undefined;

  constructor(effect: (value: T) => Promise<void>) {
    this.#effect = effect;
  }

  offer(value: T): void {
    this.#waiting = { value };
    this.#running ??= this.#drain();
  }

  /** Resolves when nothing runs or waits any more. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #drain(): Promise<void> {
    // A microtask later, so that values offered in one go make one run.
    await Promise.resolve();
    while (this.#waiting !== undefined) {
      const { value } = this.#waiting;
      this.#waiting = undefined;
      await this.#effect(value);
    }
    this.#running = undefined;
  }
}
