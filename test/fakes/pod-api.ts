import { AppError } from "../../lib/errors.ts";
import type { KubeAnswer, KubeRequest, Transport } from "../../lib/kube/transport.ts";

/** A pod as the API server has it. */
export interface ApiPod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly nodeName: string;
    readonly serviceAccountName?: string;
    readonly hostNetwork?: boolean;
  };
  readonly status: {
    readonly phase: string;
    readonly podIP?: string;
    readonly podIPs?: readonly { readonly ip: string }[];
    readonly hostIP?: string;
    readonly containerStatuses?: readonly object[];
    readonly initContainerStatuses?: readonly object[];
  };
}

/**
 * An API server's pods without sockets: lists with the selectors of a node and of an address show the
 * newest state, and watches are told of a change only when the test says so.
 */
export interface PodApi {
  readonly connection: Pick<Transport, "request" | "stream">;
  /** The field selectors of the lists so far. */
  readonly lists: readonly string[];
  put(pod: ApiPod): void;
  remove(namespace: string, name: string): void;
  /** Tells the watches of so many changes more; of all when absent. */
  deliver(changes?: number): void;
  /** Ends all watches. */
  cut(): void;
  /** Whether requests are answered at all. */
  setReachable(isReachable: boolean): void;
}

export function createPodApi(): PodApi {
  const pods = new Map<string, ApiPod>();
  const history: { readonly version: number; readonly type: string; readonly pod: ApiPod }[] = [];
  const lists: string[] = [];
  const wakers = new Set<() => void>();
  const watches = new Set<AbortController>();
  let version = 100;
  let delivered = 0;
  let reachable = true;

  const change = (type: string, pod: ApiPod): void => {
    version += 1;
    history.push({ version, type, pod });
  };
  const wake = (): void => {
    for (const waker of wakers) waker();
  };
  const cut = (): void => {
    for (const watch of watches) watch.abort();
  };

  function request({ path }: KubeRequest): KubeAnswer {
    if (!reachable) throw new AppError("KUBERNETES_UNAVAILABLE", 503, "Cannot reach the fake");
    const selector = selectorOf(path);
    lists.push(decodeURIComponent(selector.toString()));
    const items = [...pods.values()].filter((pod) => isSelected(pod, selector));
    const body = { kind: "PodList", metadata: { resourceVersion: String(version) }, items };
    return { status: 200, headers: {}, body };
  }

  async function* lines(
    from: number,
    selector: URLSearchParams,
    signal: AbortSignal,
  ): AsyncGenerator<string, void, undefined> {
    let next = history.findIndex((entry) => entry.version > from);
    if (next === -1) next = history.length;
    while (!signal.aborted) {
      const entry = next < delivered ? history[next] : undefined;
      if (entry === undefined) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wakers.add(resolve);
        signal.addEventListener("abort", () => resolve(), { once: true });
        await promise;
        wakers.delete(resolve);
        continue;
      }
      next += 1;
      if (!isSelected(entry.pod, selector)) continue;
      const metadata = { ...entry.pod.metadata, resourceVersion: String(entry.version) };
      yield JSON.stringify({ type: entry.type, object: { ...entry.pod, metadata } });
    }
  }

  return {
    connection: {
      request: async (asked) => request(asked),
      stream: async ({ path, signal }) => {
        if (!reachable) throw new AppError("KUBERNETES_UNAVAILABLE", 503, "Cannot reach the fake");
        const from = Number(new URL(path, "http://fake").searchParams.get("resourceVersion"));
        const end = new AbortController();
        watches.add(end);
        signal.addEventListener("abort", () => end.abort(), { once: true });
        return { status: 200, headers: {}, lines: lines(from, selectorOf(path), end.signal) };
      },
    },
    lists,
    put(pod) {
      const key = `${pod.metadata.namespace}/${pod.metadata.name}`;
      change(pods.has(key) ? "MODIFIED" : "ADDED", pod);
      pods.set(key, pod);
    },
    remove(namespace, name) {
      const pod = pods.get(`${namespace}/${name}`);
      if (pod === undefined) return;
      pods.delete(`${namespace}/${name}`);
      change("DELETED", pod);
    },
    deliver(changes = history.length) {
      delivered = Math.min(history.length, delivered + changes);
      wake();
    },
    cut,
    setReachable(isReachable) {
      reachable = isReachable;
      if (!isReachable) cut();
    },
  };
}

/** The field selector of a path. */
function selectorOf(path: string): URLSearchParams {
  const { searchParams } = new URL(path, "http://fake");
  return new URLSearchParams((searchParams.get("fieldSelector") ?? "").replaceAll(",", "&"));
}

function isSelected(pod: ApiPod, selector: URLSearchParams): boolean {
  const podIp = selector.get("status.podIP");
  const isOfNode = pod.spec.nodeName === selector.get("spec.nodeName");
  return isOfNode && (podIp === null || pod.status.podIP === podIp);
}
