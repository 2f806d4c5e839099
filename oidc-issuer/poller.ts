import type { Clock } from "../lib/clock.ts";
import type { Answered, Failed, KeySource, SourceDirectory } from "./key-source.ts";
import type { SourceView } from "./merge.ts";

/** Hears of every poll; for logs and metrics. */
export interface PollObserver {
  polled(id: string, result: Answered | Failed): void;
  /** A directory was asked: which failed, or which has answered. */
  listed(id: string, failed: Failed | undefined): void;
  /** The source does not exist any more. */
  gone(id: string): void;
  /** A mistake of this program; polling goes on. */
  crashed(err: unknown): void;
}

export interface Poller {
  /** Asks every source once. */
  pollOnce(signal: AbortSignal): Promise<void>;
  /** Asks each source at its own pace until `signal` aborts, so that a slow one holds up no other. */
  run(signal: AbortSignal): Promise<void>;
}

export interface PollerOptions {
  readonly directories: readonly SourceDirectory[];
  readonly clock: Clock;
  /** A number in [0, 1). */
  readonly random: () => number;
  readonly intervalMs: number;
  readonly observer: PollObserver;
  /** Called after each poll with all views. */
  readonly onChange: (views: readonly SourceView[]) => void;
}

/** Share of the interval by which waits differ, so that replicas do not ask as one. */
const JITTER = 0.2;

/** Keeps a view of sources that may come and go. */
export function createPoller(options: PollerOptions): Poller {
  const { directories, clock, random, intervalMs, observer, onChange } = options;
  const views = new Map<string, SourceView>(
    directories.map(({ id }) => [id, { id, outcome: "pending" }]),
  );
  /** By directory, what ends the loop of each of its sources. */
  const members = new Map<SourceDirectory, Map<string, AbortController>>();

  async function ask(source: KeySource, signal: AbortSignal): Promise<void> {
    const result = await source.poll(signal);
    if (signal.aborted) return;
    const { id } = source;
    const view: SourceView =
      "reason" in result
        ? { id, outcome: "failed" }
        : { id, outcome: "answered", keys: result.keys, atMs: clock.now() };
    views.set(id, view);
    observer.polled(id, result);
    onChange([...views.values()]);
  }

  /** @returns the sources that are new since the last call, each with the signal of its life. */
  async function refresh(
    directory: SourceDirectory,
    signal: AbortSignal,
  ): Promise<readonly (readonly [KeySource, AbortSignal])[]> {
    const result = await directory.list(signal);
    if (signal.aborted) return [];
    if ("reason" in result) {
      // The sources known so far go on; but without this answer nobody knows whether they are all.
      views.set(directory.id, { id: directory.id, outcome: "failed" });
      observer.listed(directory.id, result);
      onChange([...views.values()]);
      return [];
    }
    const known = members.get(directory) ?? new Map<string, AbortController>();
    members.set(directory, known);
    const listed = new Set(result.map(({ id }) => id));
    for (const [id, life] of known) {
      if (listed.has(id)) continue;
      life.abort();
      known.delete(id);
      views.delete(id);
      observer.gone(id);
    }
    const added = result.filter(({ id }) => !known.has(id));
    const started = added.map((source) => {
      const life = new AbortController();
      known.set(source.id, life);
      views.set(source.id, { id: source.id, outcome: "pending" });
      return [source, AbortSignal.any([signal, life.signal])] as const;
    });
    views.delete(directory.id);
    observer.listed(directory.id, undefined);
    onChange([...views.values()]);
    return started;
  }

  async function loop(step: () => Promise<void>, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await step();
      } catch (err) {
        observer.crashed(err);
      }
      await clock.sleep(intervalMs * (1 - JITTER / 2 + JITTER * random()), signal);
    }
  }

  return {
    async pollOnce(signal) {
      await Promise.all(
        directories.map(async (directory) => {
          const started = await refresh(directory, signal);
          await Promise.all(started.map(([source, life]) => ask(source, life)));
        }),
      );
    },
    async run(signal) {
      const running: Promise<void>[] = [];
      const watch = (directory: SourceDirectory) =>
        loop(async () => {
          for (const [source, life] of await refresh(directory, signal)) {
            running.push(loop(() => ask(source, life), life));
          }
        }, signal);
      await Promise.all(directories.map(watch));
      await Promise.all(running);
    },
  };
}
