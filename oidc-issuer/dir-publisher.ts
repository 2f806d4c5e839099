import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Documents } from "./documents.ts";
import { LatestOnly } from "./latest-only.ts";
import type { Metrics } from "./metrics.ts";
import { publishToDirectory } from "./publish-dir.ts";

export interface DirPublisher {
  /** Publishes in the background; a failed attempt is made again at the next call. */
  offer(documents: Documents): void;
  /** Resolves when nothing is being written any more. */
  idle(): Promise<void>;
}

/** Keeps a directory up to date with the documents it is given. */
export function createDirPublisher(
  dir: string,
  {
    clock,
    log,
    metrics,
  }: {
    readonly clock: Clock;
    readonly log: Pick<Logger, "info" | "error">;
    readonly metrics: Pick<Metrics, "published" | "publishFailed">;
  },
): DirPublisher {
  let lastProblem: string | undefined;
  const queue = new LatestOnly<Documents>(async (documents) => {
    try {
      const outcome = await publishToDirectory(dir, documents);
      if (outcome === "published") log.info({ dir, etag: documents.jwks.etag }, "Published");
      lastProblem = undefined;
      metrics.published(clock.now());
    } catch (err) {
      metrics.publishFailed();
      const problem = reasonOf(err);
      if (problem !== lastProblem) log.error({ err, dir }, "Could not publish");
      lastProblem = problem;
    }
  });
  return { offer: (documents) => queue.offer(documents), idle: () => queue.idle() };
}
