import type { KubeObject } from "../lib/kube/kube-object.ts";
import type { Logger } from "../lib/log.ts";
import { annotatedAtMs } from "./annotation-time.ts";
import { LiveReads, type LiveReadsDeps } from "./live-reads.ts";
import type { ServiceAccountState } from "./mutation.ts";
import type { Annotations } from "./pod.ts";

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
  };
  readonly annotationPrefix: string;
  /** Longest wait for a live read; 0 never reads live. */
  readonly lookupGraceMs: number;
  readonly log: Pick<Logger, "warn">;
}

/**
 * What is known of ServiceAccounts: from the cache when it shows a role, and live when it does not,
 * for a pod is often created directly after its ServiceAccount or its annotation, and the watch may
 * be behind. Nothing that was read is remembered: a pod's answer rests on a read that began after
 * its review came. Pods of one ServiceAccount that come together share reads, so that there are
 * never more than two of one ServiceAccount under way, and never more than reviews.
 */
export class ServiceAccounts {
  readonly #deps: ServiceAccountsDeps;
  readonly #live: LiveReads<KnownServiceAccount>;

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
    const { cache, lookupGraceMs } = this.#deps;
    const cached = cache.get(namespace, name);
    if (cached !== undefined && (this.#hasRole(cached) || lookupGraceMs === 0))
      return found(cached);
    if (lookupGraceMs === 0) return { status: "service-account-unavailable" };
    if (cached !== undefined) return found(await this.#newerOf(cached, namespace, name));
    try {
      const live = await this.#read(namespace, name);
      return live === undefined ? { status: "service-account-not-found" } : found(live);
    } catch (err) {
      const message = "Cannot read a ServiceAccount: its pod starts without identity";
      this.#deps.log.warn({ namespace, serviceAccount: name, err }, message);
      return { status: "service-account-unavailable" };
    }
  }

  /** The live reading of a ServiceAccount cached without a role, unless the cache is newer. */
  async #newerOf(
    before: KnownServiceAccount,
    namespace: string,
    name: string,
  ): Promise<KnownServiceAccount> {
    const { cache, log } = this.#deps;
    const live = await this.#read(namespace, name).catch((err: unknown) => {
      log.warn({ namespace, serviceAccount: name, err }, "Cannot re-read a ServiceAccount");
      return undefined;
    });
    // The watch may have caught up meanwhile, or even be ahead.
    const cached = cache.get(namespace, name) ?? before;
    return live === undefined || live.version < cached.version ? cached : live;
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
