import { readFile } from "node:fs/promises";
import type { Clock } from "./clock.ts";

/** The contents of some files at one moment, in the order of their paths. */
export type FileContents = readonly string[];

/**
 * Reads files and tells when any content changes, until `signal` aborts.
 *
 * It polls: Kubernetes swaps the `..data` symlink of a mounted Secret or ConfigMap, which file events
 * on the paths themselves never show. An unreadable file is told once for each new reason.
 *
 * @returns the contents at the start.
 * @throws the error of the first read.
 */
export async function watchFiles(
  paths: readonly string[],
  {
    clock,
    pollMs,
    signal,
    onChange,
    onError,
  }: {
    readonly clock: Clock;
    readonly pollMs: number;
    readonly signal: AbortSignal;
    /** Throws when the content is not usable; it is then told to `onError`. */
    readonly onChange: (contents: FileContents) => void;
    readonly onError: (err: unknown) => void;
  },
): Promise<FileContents> {
  const initial = await readAll(paths);
  void poll();
  return initial;

  async function poll(): Promise<void> {
    let last = initial;
    let lastProblem: string | undefined;
    for (;;) {
      await clock.sleep(pollMs, signal);
      if (signal.aborted) return;
      try {
        const contents = await readAll(paths);
        lastProblem = undefined;
        if (contents.every((text, i) => text === last[i])) continue;
        last = contents;
        onChange(contents);
      } catch (err) {
        const problem = String(err);
        if (problem !== lastProblem) onError(err);
        lastProblem = problem;
      }
    }
  }
}

async function readAll(paths: readonly string[]): Promise<FileContents> {
  return Promise.all(paths.map((path) => readFile(path, "utf8")));
}
