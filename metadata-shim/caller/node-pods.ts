import type { Clock } from "../../lib/clock.ts";
import { startListWatch } from "../../lib/kube/list-watch.ts";
import { withQuery } from "../../lib/kube/query.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import { ChangeWaiters } from "./change-waiters.ts";
import type { KnownPod } from "./known-pod.ts";
import { PodIndex } from "./pod-index.ts";

/** What is known of the pods of this node, as the API server tells it. */
export interface NodePods extends AsyncDisposable {
  /** Whether all have been listed once. */
  readonly synced: boolean;
  /** Rejects when it is stopped before. */
  readonly whenSynced: Promise<void>;
  readonly size: number;
  /** Seconds since the API server last told anything. */
  staleSeconds(): number;
  /** All pods with an address. */
  at(address: string): readonly KnownPod[];
  /** All pods of the node that may call. */
  pods(): Iterable<KnownPod>;
  /** Resolves when what is known of an address may be another thing, and when `signal` aborts. */
  whenChanged(address: string, signal: AbortSignal): Promise<void>;
}

export interface NodePodsOptions {
  readonly connection: Pick<Transport, "request" | "stream">;
  readonly nodeName: string;
  readonly keep: (object: unknown) => KnownPod | undefined;
  readonly clock: Clock;
  readonly random?: (() => number) | undefined;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  /** A pod is known no more, or another pod has its name. */
  readonly onGone?: ((podUid: string) => void) | undefined;
}

/** Of a pod a hundredth is kept, and memory that was once needed for the rest is seldom given back. */
const PAGE_SIZE = 50;

/** The path of the pods of a node, by the selector that kubelet uses too. */
export function nodePodsPath(nodeName: string, more = ""): string {
  return withQuery("/api/v1/pods", { fieldSelector: `spec.nodeName=${nodeName}${more}` });
}

/**
 * Follows the pods of one node and no others, so that what it costs does not grow with the cluster.
 * Those who wait for a pod are woken by its event.
 */
export function followNodePods(options: NodePodsOptions): NodePods {
  const { connection, nodeName, keep, clock, random, log, onGone = () => {} } = options;
  const index = new PodIndex();
  const waiters = new ChangeWaiters();
  const set = (namespace: string, name: string, pod: KnownPod | undefined): void => {
    const before = index.get(namespace, name);
    const touched = index.set(namespace, name, pod);
    if (before !== undefined && before.uid !== pod?.uid) onGone(before.uid);
    for (const address of touched) waiters.wake(address);
  };
  const watch = startListWatch({
    connection,
    path: nodePodsPath(nodeName),
    metadataOnly: false,
    pageSize: PAGE_SIZE,
    keep,
    clock,
    random,
    log,
    onEvent: (event) => {
      if (event.type === "changed") {
        set(event.namespace, event.name, watch.get(event.namespace, event.name));
      } else if (event.type === "listed") {
        const before = [...index.pods()];
        index.replace([...watch.entries()].map(({ value }) => value));
        const uids = new Set([...index.pods()].map(({ uid }) => uid));
        for (const { uid } of before) if (!uids.has(uid)) onGone(uid);
        waiters.wakeAll();
      }
    },
  });
  return {
    get synced() {
      return watch.synced;
    },
    get size() {
      return index.size;
    },
    whenSynced: watch.whenSynced,
    staleSeconds: () => watch.staleSeconds(),
    at: (address) => index.at(address),
    pods: () => index.pods(),
    whenChanged: (address, signal) => waiters.wait(address, signal),
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}
