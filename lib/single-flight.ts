/**
 * Runs one call per key at a time: callers that come while it runs share its result. The call does
 * not belong to its first caller, so a caller that goes away takes nothing from the others.
 */
export class SingleFlight<T> {
  readonly #running = new Map<string, Promise<T>>();

  run(key: string, call: () => Promise<T>): Promise<T> {
    const running = this.#running.get(key);
    if (running !== undefined) return running;
    const started = call().finally(() => this.#running.delete(key));
    this.#running.set(key, started);
    return started;
  }
}
