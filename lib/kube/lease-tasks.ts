import { backoffMs } from "../backoff.ts";
import type { Clock } from "../clock.ts";
import type { Logger } from "../log.ts";

/** Work that only the holder of a Lease may do; it ends soon after its signal aborts. */
export type LeaseTask = (signal: AbortSignal) => Promise<void>;

const BACKOFF = { baseMs: 1000, maxMs: 30_000 };

/** Runs tasks while a Lease is held: each once at a time, whatever the Lease does meanwhile. */
export class LeaseTasks {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #log: Pick<Logger, "error">;
  readonly #tasks: { readonly task: LeaseTask; running: Promise<void> }[] = [];
  #term: AbortController | undefined;

  constructor(options: {
    readonly clock: Clock;
    readonly random: () => number;
    readonly log: Pick<Logger, "error">;
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#log = options.log;
  }

  /** Adds a task, which starts at once when the Lease is held. */
  add(task: LeaseTask): void {
    const entry = { task, running: Promise.resolve() };
    this.#tasks.push(entry);
    if (this.#term !== undefined) this.#startOne(entry, this.#term.signal);
  }

  /** The Lease has been won. */
  start(): void {
    this.#term = new AbortController();
    for (const entry of this.#tasks) this.#startOne(entry, this.#term.signal);
  }

  /** The Lease is lost, or about to be given back. */
  abort(): void {
    this.#term?.abort();
    this.#term = undefined;
  }

  /** Resolves when no task runs any more. */
  async whenEnded(): Promise<void> {
    await Promise.all(this.#tasks.map(({ running }) => running));
  }

  #startOne(
    entry: { readonly task: LeaseTask; running: Promise<void> },
    signal: AbortSignal,
  ): void {
    // A task that is slow to end in the last term delays its start in this one.
    entry.running = entry.running.then(() => this.#run(entry.task, signal));
  }

  async #run(task: LeaseTask, signal: AbortSignal): Promise<void> {
    for (let failures = 1; !signal.aborted; failures += 1) {
      try {
        await task(signal);
        return;
      } catch (err) {
        if (signal.aborted) return;
        const retryMs = backoffMs(failures, { ...BACKOFF, random: this.#random() });
        this.#log.error({ err, retryMs }, "Work of the lease holder failed");
        await this.#clock.sleep(retryMs, signal);
      }
    }
  }
}
