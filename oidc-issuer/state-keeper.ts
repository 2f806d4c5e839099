import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { LatestOnly } from "./latest-only.ts";
import type { KeyState } from "./merge.ts";
import type { Metrics } from "./metrics.ts";
import type { StateStore } from "./state-store.ts";

/**
 * Longest time that sightings stay unsaved: short against the gap that starts a wait for retirement
 * again, long against the polls that bring nothing new.
 */
const MAX_UNSAVED_MS = 10 * 60_000;

export interface StateKeeper {
  /** Saves the state in the background when it is worth it; a failed save is tried at the next call. */
  offer(state: KeyState): void;
  /** Saves the state now, whether it is worth it or not. Never rejects. */
  flush(state: KeyState): Promise<void>;
}

/** Decides when the state is saved. */
export function createStateKeeper({
  store,
  clock,
  log,
  metrics,
  onFound,
}: {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly log: Pick<Logger, "info" | "error">;
  readonly metrics: Pick<Metrics, "stateSaved" | "stateFailed">;
  /** Gets what others had stored. */
  readonly onFound: (others: KeyState) => void;
}): StateKeeper {
  let saved: { readonly shape: string; readonly atMs: number } | undefined;
  let lastProblem: string | undefined;

  const queue = new LatestOnly<KeyState>(async (state) => {
    try {
      const others = await store.save(state);
      saved = { shape: shapeOf(state), atMs: clock.now() };
      if (lastProblem !== undefined) log.info({ store: store.id }, "Keys are saved again");
      lastProblem = undefined;
      metrics.stateSaved(clock.now());
      if (others !== undefined) onFound(others);
    } catch (err) {
      metrics.stateFailed("save");
      const problem = reasonOf(err);
      if (problem !== lastProblem) log.error({ err, store: store.id }, "Could not save the keys");
      lastProblem = problem;
    }
  });

  return {
    offer(state) {
      if (state.keys.length === 0) return;
      const isDue =
        saved === undefined ||
        saved.shape !== shapeOf(state) ||
        clock.now() - saved.atMs >= MAX_UNSAVED_MS;
      if (isDue) queue.offer(state);
    },
    async flush(state) {
      if (state.keys.length > 0) queue.offer(state);
      await queue.idle();
    },
  };
}

/** All of a state that is worth a write: which keys there are, and which are being missed. */
function shapeOf({ keys }: KeyState): string {
  return JSON.stringify(keys.map(({ jwk, absentSinceMs }) => [jwk, absentSinceMs]));
}
