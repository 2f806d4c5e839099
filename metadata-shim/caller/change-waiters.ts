/** Those who wait until what is known of an address changes. */
export class ChangeWaiters {
  readonly #byAddress = new Map<string, Set<() => void>>();

  /** How many wait now. */
  get size(): number {
    let size = 0;
    for (const waiters of this.#byAddress.values()) size += waiters.size;
    return size;
  }

  /** Resolves at the next change of an address, and also as soon as `signal` aborts. */
  wait(address: string, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (signal.aborted) {
      resolve();
      return promise;
    }
    const waiters = this.#byAddress.get(address) ?? new Set();
    this.#byAddress.set(address, waiters);
    const end = (): void => {
      waiters.delete(end);
      if (waiters.size === 0 && this.#byAddress.get(address) === waiters) {
        this.#byAddress.delete(address);
      }
      signal.removeEventListener("abort", end);
      resolve();
    };
    waiters.add(end);
    signal.addEventListener("abort", end, { once: true });
    return promise;
  }

  wake(address: string): void {
    for (const end of this.#byAddress.get(address) ?? []) end();
  }

  wakeAll(): void {
    for (const address of this.#byAddress.keys()) this.wake(address);
  }
}
