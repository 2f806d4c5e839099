import type { FindingReason } from "./finding.ts";

/** Kinds whose controller makes a new pod as if nothing had been; a Job would count a failure. */
const REPLACING_KINDS: ReadonlySet<string> = new Set([
  "apps/DaemonSet",
  "apps/ReplicaSet",
  "apps/StatefulSet",
  "/ReplicationController",
]);

/** A pod of a controller, as far as the policy looks at it. */
export interface EvictablePod {
  readonly uid: string;
  readonly controllerUid: string;
  /** API group and kind of the controller, such as `apps/ReplicaSet`. */
  readonly controllerKind: string;
  /** What was found at the last look; `unchecked` before the first, undefined when all is well. */
  readonly finding:
    | { readonly reason: FindingReason; readonly restartHelps: boolean }
    | "unchecked"
    | undefined;
  /** Whether its containers serve (Kubernetes, "Pod conditions"). */
  readonly isReady: boolean;
}

interface History {
  readonly evictedAtMs: number;
  /** Pods of the controller whose verdict is known or does not count. */
  readonly seenUids: ReadonlySet<string>;
  /** Replacements in a row that were no better. */
  readonly failures: number;
  readonly notBeforeMs: number;
}

/**
 * A controller that makes no new pod within this time gets another try; a new pod that is not ready
 * by then is no better than the one before.
 */
export const REPLACEMENT_MS = 10 * 60_000;
/** After the first replacement that is no better, doubled with each. */
export const FIRST_BACKOFF_MS = 10 * 60_000;
export const MAX_BACKOFF_MS = 24 * 3_600_000;
/** So many disappointments in a row, whatever the controllers, mean that evicting does not help. */
const MAX_FAILURES_IN_A_ROW = 3;

/**
 * Decides which pod may be evicted next: only where a new pod would carry its identity, only of
 * controllers that replace pods, one pod of a controller at a time, and the next one only after the
 * replacement was seen to be right and ready. A replacement that is no better, or does not become
 * ready, makes its controller wait, each time twice as long; three such in a row, of any controllers,
 * make all of them wait.
 */
export class EvictionPolicy {
  readonly #histories = new Map<string, History>();
  #failuresInARow = 0;
  #notBeforeMs = 0;

  /** The pod to evict now, if any; `pods` are all that are known, healthy ones too. */
  next(pods: readonly EvictablePod[], nowMs: number): EvictablePod | undefined {
    const byController = Map.groupBy(pods, ({ controllerUid }) => controllerUid);
    this.#forget(byController, nowMs);
    for (const [controllerUid, those] of byController) this.#judge(controllerUid, those, nowMs);
    if (nowMs < this.#notBeforeMs) return undefined;
    for (const [controllerUid, those] of byController) {
      if (this.#mayTry(controllerUid, those, nowMs)) {
        const pod = those.find(isCurable);
        if (pod !== undefined) return pod;
      }
    }
    return undefined;
  }

  /** Whether the pods of a controller matter although none of them may be evictable now. */
  isTracking(controllerUid: string): boolean {
    return this.#histories.has(controllerUid);
  }

  /** Notes that a pod was evicted; `pods` are all of its controller at that time. */
  evicted(controllerUid: string, pods: readonly EvictablePod[], nowMs: number): void {
    const failures = this.#histories.get(controllerUid)?.failures ?? 0;
    const seenUids = new Set(pods.map(({ uid }) => uid));
    this.#histories.set(controllerUid, {
      evictedAtMs: nowMs,
      seenUids,
      failures,
      notBeforeMs: nowMs,
    });
  }

  /** Notes that an eviction was refused for now, as a PodDisruptionBudget does. */
  refused(controllerUid: string, retryMs: number, nowMs: number): void {
    const notBeforeMs = nowMs + retryMs;
    const history = this.#histories.get(controllerUid);
    // Nothing was evicted, so no replacement is waited for.
    this.#histories.set(controllerUid, {
      evictedAtMs: Number.NEGATIVE_INFINITY,
      seenUids: new Set(),
      failures: history?.failures ?? 0,
      notBeforeMs,
    });
  }

  #judge(controllerUid: string, pods: readonly EvictablePod[], nowMs: number): void {
    const history = this.#histories.get(controllerUid);
    if (history === undefined || history.evictedAtMs === Number.NEGATIVE_INFINITY) return;
    const news = pods.filter(
      ({ uid, finding }) => !history.seenUids.has(uid) && finding !== "unchecked",
    );
    if (news.length === 0) return;
    const seenUids = new Set(pods.map(({ uid }) => uid));
    if (news.every(({ finding }) => finding === undefined)) {
      if (news.every(({ isReady }) => isReady)) {
        this.#failuresInARow = 0;
        this.#histories.delete(controllerUid);
        return;
      }
      if (nowMs - history.evictedAtMs < REPLACEMENT_MS) return;
    }
    const failures = history.failures + 1;
    const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** (failures - 1), MAX_BACKOFF_MS);
    this.#histories.set(controllerUid, {
      // The verdict on this eviction is given.
      evictedAtMs: Number.NEGATIVE_INFINITY,
      seenUids,
      failures,
      notBeforeMs: nowMs + backoffMs,
    });
    this.#failuresInARow += 1;
    if (this.#failuresInARow >= MAX_FAILURES_IN_A_ROW) {
      this.#failuresInARow = 0;
      this.#notBeforeMs = nowMs + FIRST_BACKOFF_MS;
    }
  }

  #mayTry(controllerUid: string, pods: readonly EvictablePod[], nowMs: number): boolean {
    const history = this.#histories.get(controllerUid);
    if (history === undefined) return true;
    if (nowMs < history.notBeforeMs) return false;
    if (history.evictedAtMs === Number.NEGATIVE_INFINITY) return true;
    // The replacement is not there, or was not looked at yet.
    const isComing = pods.some(({ uid }) => !history.seenUids.has(uid));
    return !isComing && nowMs - history.evictedAtMs >= REPLACEMENT_MS;
  }

  #forget(byController: ReadonlyMap<string, unknown>, nowMs: number): void {
    for (const [uid, { notBeforeMs }] of this.#histories) {
      // A controller without pods may be between two of them, so its history is kept for a while.
      if (!byController.has(uid) && nowMs - notBeforeMs > MAX_BACKOFF_MS) {
        this.#histories.delete(uid);
      }
    }
  }
}

function isCurable({ finding, controllerKind }: EvictablePod): boolean {
  if (finding === undefined || finding === "unchecked") return false;
  return finding.restartHelps && REPLACING_KINDS.has(controllerKind);
}
