import { readFile } from "node:fs/promises";
import type { Clock } from "./clock.ts";

/** The contents of some files at one moment, in the order of their paths. */
export type FileContents = readonly string[];

/** Reads before the contents of several files are given up on, since they never stay the same. */
const MAX_READS = 5;

/**
 * Reads files and tells when any content changes, until `signal` aborts.
 *
 * It polls: Kubernetes swaps the `..data` symlink of a mounted Secret or ConfigMap, which file events
 * on the paths themselves never show. An unreadable file is told once for each new reason, a content
 * that is not usable once for each content. New contents are taken when two reads agree on them, so
 * that files that belong together are not mixed with those from before a swap.
 *
 * @returns the contents at the start.
 * @throws the error of the first read, unless there is a `fallback`.
 */
export async function watchFiles(
  paths: readonly string[],
  {
    clock,
    pollMs,
    signal,
    onChange,
    onError,
    read = (path) => readFile(path, "utf8"),
    fallback,
  }: {
    readonly clock: Clock;
    readonly pollMs: number;
    readonly signal: AbortSignal;
    /** Throws when the content is not usable; it is then told to `onError`. */
    readonly onChange: (contents: FileContents) => void;
    readonly onError: (err: unknown) => void;
    /** Reads the text of one file. */
    readonly read?: ((path: string) => Promise<string>) | undefined;
    /** What to start with when the first read fails, which is then told instead of thrown. */
    readonly fallback?: FileContents | undefined;
  },
): Promise<FileContents> {
  let lastProblem: string | undefined;
  const initial = await readSettled().catch((err: unknown) => {
    if (fallback === undefined) throw err;
    lastProblem = String(err);
    onError(err);
    return fallback;
  });
  void poll();
  return initial;

  async function poll(): Promise<void> {
    let last = initial;
    for (;;) {
      await clock.sleep(pollMs, signal);
      if (signal.aborted) return;
      try {
        const contents = await readSettled(last);
        // Reading takes a while; who has stopped it is told no more.
        if (signal.aborted) return;
        lastProblem = undefined;
        if (same(contents, last)) continue;
        last = contents;
        onChange(contents);
      } catch (err) {
        const problem = String(err);
        if (problem !== lastProblem) onError(err);
        lastProblem = problem;
      }
    }
  }

  /** Contents that two reads in a row agree on, or one read with `known`. */
  async function readSettled(known?: FileContents): Promise<FileContents> {
    let before = known;
    for (let reads = 0; reads < MAX_READS; reads += 1) {
      const contents = await Promise.all(paths.map((path) => read(path)));
      if (before !== undefined && same(contents, before)) return contents;
      before = contents;
    }
    throw new Error(`Cannot read ${paths.join(", ")}: expected contents that stay the same`);
  }
}

function same(a: FileContents, b: FileContents): boolean {
  return a.every((text, i) => text === b[i]);
}
