/**
 * Shares calls among those who ask at the same time ("single flight"), but never gives anyone
 * the result of a call that began before they asked: what they know to have happened may not be in
 * it. At most one call per key runs and one more waits for its end, however many ask.
 */
export class FreshFlight<T> {
  readonly #flights = new Map<string, Flights<T>>();

  /** A call does not belong to its first caller, so one that goes away takes nothing from others. */
  run(key: string, call: () => Promise<T>): Promise<T> {
    const flights = this.#flights.get(key);
    if (flights === undefined) return this.#start(key, call);
    flights.next ??= flights.running.then(
      () => this.#start(key, call),
      () => this.#start(key, call),
    );
    return flights.next;
  }

  #start(key: string, call: () => Promise<T>): Promise<T> {
    const running = call();
    const flights: Flights<T> = { running };
    this.#flights.set(key, flights);
    const end = (): void => {
      // The one that waits starts now, and makes an entry of its own.
      if (flights.next === undefined) this.#flights.delete(key);
    };
    running.then(end, end);
    return running;
  }
}

interface Flights<T> {
  readonly running: Promise<T>;
  next?: Promise<T>;
}
