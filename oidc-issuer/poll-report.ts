import type { Logger } from "../lib/log.ts";
import type { FilterReason } from "./jwk.ts";
import type { Failed, FilteredKey } from "./key-source.ts";
import type { Metrics } from "./metrics.ts";
import type { PollObserver } from "./poller.ts";

export interface PollReport extends PollObserver {
  /** What is wrong with which source now, for an error that must name it. */
  problems(): readonly string[];
}

/**
 * Turns polls into metrics and log lines. A lasting problem is logged when it begins or changes and when
 * it ends, not at each poll.
 */
export function createPollReport({
  log,
  metrics,
  nowMs,
}: {
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly metrics: Pick<Metrics, "pollSucceeded" | "pollFailed" | "instanceGone" | "filtered">;
  readonly nowMs: () => number;
}): PollReport {
  const problems = new Map<string, string>();
  const filtered = new Map<string, readonly FilteredKey[]>();

  function failed(instance: string, { reason, message }: Failed): void {
    metrics.pollFailed(instance, reason);
    if (problems.get(instance) === message) return;
    problems.set(instance, message);
    log.warn({ instance, reason, problem: message }, "Got no keys; the last good ones stay");
  }

  function answered(instance: string): void {
    if (problems.delete(instance)) log.info({ instance }, "Source answers again");
  }

  function filter(instance: string, keys: readonly FilteredKey[]): void {
    if (JSON.stringify(keys) !== JSON.stringify(filtered.get(instance) ?? [])) {
      const left = keys.map(({ reason, detail }) => `${reason} (${detail})`);
      log.warn({ instance, keys: left }, "Left out keys that STS cannot use");
    }
    filtered.set(instance, keys);
    const counts = new Map<FilterReason, number>();
    for (const { reason } of [...filtered.values()].flat()) {
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    metrics.filtered(counts);
  }

  return {
    problems: () => [...problems].map(([instance, problem]) => `${instance}: ${problem}`),
    polled(instance, result) {
      if ("reason" in result) {
        failed(instance, result);
        return;
      }
      answered(instance);
      metrics.pollSucceeded(instance, nowMs());
      filter(instance, result.filtered);
    },
    listed(id, failure) {
      if (failure === undefined) answered(id);
      else failed(id, failure);
    },
    gone(instance) {
      log.info({ instance }, "Source is gone; its keys stay");
      problems.delete(instance);
      filter(instance, []);
      filtered.delete(instance);
      metrics.instanceGone(instance);
    },
    crashed(err) {
      log.error({ err }, "Poll failed");
    },
  };
}
