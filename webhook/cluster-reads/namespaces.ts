import type { KubeObject } from "../../lib/kube/kube-object.ts";
import type { Logger } from "../../lib/log.ts";
import { LiveReads, type LiveReadsDeps } from "../../lib/kube/live-reads.ts";
import {
  parseNamespacePolicy,
  POLICY_PREFIX,
  type NamespacePolicy,
} from "../../lib/namespace-policy.ts";

/** All that is kept of a namespace. */
export type KnownNamespace = NamespacePolicy;

const NO_POLICY: KnownNamespace = Object.freeze({});

/** Reduces a Namespace to what is kept of it. */
export function keepNamespace({ metadata: { annotations = {} } }: KubeObject): KnownNamespace {
  const hasPolicy = Object.keys(annotations).some((key) => key.startsWith(`${POLICY_PREFIX}/`));
  return hasPolicy ? parseNamespacePolicy(annotations).policy : NO_POLICY;
}

export interface NamespacesDeps extends Pick<
  LiveReadsDeps<KnownNamespace>,
  "connection" | "onLiveRead"
> {
  /** The copy that follows the API server. */
  readonly cache: { readonly get: (namespace: "", name: string) => KnownNamespace | undefined };
  /** Longest wait for a live read; 0 never reads live. */
  readonly lookupGraceMs: number;
  readonly log: Pick<Logger, "warn">;
}

/**
 * What is known of namespaces: from the cache, and live when it is not there, for a pod may come
 * directly after its namespace. A failed read is never remembered in place of an answer.
 */
export class Namespaces {
  readonly #deps: NamespacesDeps;
  readonly #live: LiveReads<KnownNamespace>;

  constructor(deps: NamespacesDeps) {
    this.#deps = deps;
    const { connection, onLiveRead, lookupGraceMs } = deps;
    this.#live = new LiveReads({
      connection,
      onLiveRead,
      keep: keepNamespace,
      timeoutMs: lookupGraceMs,
    });
  }

  /** Undefined when it could not be read, so that nobody knows what it allows. */
  async policyOf(namespace: string): Promise<NamespacePolicy | undefined> {
    const { cache, lookupGraceMs, log } = this.#deps;
    const cached = cache.get("", namespace);
    if (cached !== undefined || lookupGraceMs === 0) return cached;
    try {
      return await this.#live.read(["namespaces", namespace]);
    } catch (err) {
      log.warn({ namespace, err }, "Cannot read a namespace: its pods get no identity");
      return undefined;
    }
  }
}
