import type { Clock } from "../../lib/clock.ts";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import type { Logger } from "../../lib/log.ts";
import { annotatedAtMs } from "./annotation-time.ts";
import { LiveReads, type LiveReadsDeps } from "../../lib/kube/live-reads.ts";
import type { ServiceAccountState } from "../mutation/mutation.ts";
import type { Annotations } from "../pod/pod.ts";
import { RecentKeys } from "./recent-keys.ts";

/** All that is kept of a ServiceAccount, since a cluster may have 100,000 of them. */
export interface KnownServiceAccount {
  /** Those under our prefix only. */
  readonly annotations: Annotations;
  /** Its resourceVersion, to tell which of two readings is newer; NaN when it is no number. */
  readonly version: number;
  /** When it was given its role, in milliseconds since the epoch; see `annotatedAtMs`. */
  readonly roleSetAtMs?: number | undefined;
}

const NO_ANNOTATIONS: Annotations = Object.freeze({});

/** Makes the function that reduces a ServiceAccount to what is kept of it. */
export function serviceAccountKeeper(
  annotationPrefix: string,
): (object: KubeObject) => KnownServiceAccount {
  const roleKey = `${annotationPrefix}/role-arn`;
  return (object) => {
    const { annotations, resourceVersion } = object.metadata;
    const kept = Object.entries(annotations ?? {}).filter(([key]) =>
      key.startsWith(`${annotationPrefix}/`),
    );
    const version = Number(resourceVersion);
    if (kept.length === 0) return { annotations: NO_ANNOTATIONS, version };
    const roleSetAtMs = annotatedAtMs(object, roleKey);
    return {
      annotations: Object.fromEntries(kept),
      version,
      ...(roleSetAtMs === undefined ? {} : { roleSetAtMs }),
    };
  };
}

export interface ServiceAccountsDeps extends Pick<
  LiveReadsDeps<KnownServiceAccount>,
  "connection" | "onLiveRead"
> {
  /** The copy that follows the API server. */
  readonly cache: {
    readonly get: (namespace: string, name: string) => KnownServiceAccount | undefined;
    /** Whether what changes now is told to it. */
    readonly following: boolean;
  };
  readonly annotationPrefix: string;
  /** Longest wait for a live read; 0 never reads live. */
  readonly lookupGraceMs: number;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Logger, "warn">;
}

/**
 * How long a ServiceAccount that was read live without a role needs no other read: a node that
 * starts many pods of one asks fifty times a second instead of for each. It is far less than from an
 * annotation to the pods of the rollout after it, and holds only while the watch is open, which
 * tells of an annotation in a few milliseconds, and in tens where the API server has much to do: within
 * a tenth of a second, three of a hundred pods created directly after an annotation came without a role.
 */
const REREAD_MS = 20;

/**
 * What is known of ServiceAccounts: from the cache when it shows a role, and live when it does not,
 * for a pod is often created directly after its ServiceAccount or its annotation, and the watch may
 * be behind. A pod's answer rests on the cache and on a read that began after its review came, or
 * at most {@link REREAD_MS} before. Pods of one ServiceAccount that come together share reads, so
 * that there are never more than two of one ServiceAccount under way, and never more than reviews.
 */
export class ServiceAccounts {
  readonly #deps: ServiceAccountsDeps;
  readonly #live: LiveReads<KnownServiceAccount>;
  /** Of ServiceAccounts that have just been read live, without a role. */
  readonly #withoutRole = new RecentKeys(REREAD_MS);

  constructor(deps: ServiceAccountsDeps) {
    this.#deps = deps;
    const { connection, onLiveRead, annotationPrefix, lookupGraceMs } = deps;
    this.#live = new LiveReads({
      connection,
      onLiveRead,
      keep: serviceAccountKeeper(annotationPrefix),
      timeoutMs: lookupGraceMs,
    });
  }

  /** Takes at most `lookupGraceMs`, and no time at all for a ServiceAccount cached with a role. */
  async stateOf(namespace: string, name: string): Promise<ServiceAccountState> {
    const { cache, lookupGraceMs, clock } = this.#deps;
    const cached = cache.get(namespace, name);
    if (cached !== undefined && (this.#hasRole(cached) || lookupGraceMs === 0))
      return found(cached);
    if (lookupGraceMs === 0) return { status: "service-account-unavailable" };
    if (cached !== undefined) {
      const isFresh = cache.following && this.#withoutRole.has(`${namespace}/${name}`, clock.now());
      const newest = isFresh ? cached : await this.#newerOf(cached, namespace, name);
      return newest === undefined ? { status: "service-account-unavailable" } : found(newest);
    }
    try {
      const live = await this.#read(namespace, name);
      return live === undefined ? { status: "service-account-not-found" } : found(live);
    } catch (err) {
      const message = "Cannot read a ServiceAccount: its pod starts without identity";
      this.#deps.log.warn({ namespace, serviceAccount: name, err }, message);
      return { status: "service-account-unavailable" };
    }
  }

  /**
   * The live reading of a ServiceAccount cached without a role, unless the cache is newer; undefined
   * when it could not be read and the cache has no role for it still: it may have one by now.
   */
  async #newerOf(
    before: KnownServiceAccount,
    namespace: string,
    name: string,
  ): Promise<KnownServiceAccount | undefined> {
    const { cache, clock, log } = this.#deps;
    const startMs = clock.now();
    const live = await this.#read(namespace, name).catch((err: unknown) => {
      log.warn({ namespace, serviceAccount: name, err }, "Cannot re-read a ServiceAccount");
      return undefined;
    });
    if (live !== undefined && !this.#hasRole(live)) {
      this.#withoutRole.add(`${namespace}/${name}`, startMs);
    }
    // The watch may have caught up meanwhile, or even be ahead.
    const cached = cache.get(namespace, name) ?? before;
    if (live === undefined) return this.#hasRole(cached) ? cached : undefined;
    return live.version < cached.version ? cached : live;
  }

  #hasRole({ annotations }: KnownServiceAccount): boolean {
    return Boolean(annotations[`${this.#deps.annotationPrefix}/role-arn`]);
  }

  #read(namespace: string, name: string): Promise<KnownServiceAccount | undefined> {
    return this.#live.read(["namespaces", namespace, "serviceaccounts", name]);
  }
}

function found({ annotations }: KnownServiceAccount): ServiceAccountState {
  return { status: "found", annotations };
}
