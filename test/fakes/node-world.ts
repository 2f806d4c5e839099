import type { Attestor } from "../../metadata-shim/caller/attestor.ts";
import type { CallerConnection } from "../../metadata-shim/caller/caller.ts";
import { createPodApi, type ApiPod, type PodApi } from "./pod-api.ts";

export const NODE = "node-a";
export const METADATA = { address: "169.254.169.254", port: 80 };

/** A pod that runs on the node, whatever anyone knows of it. */
export interface RunningPod {
  readonly uid: string;
  readonly name: string;
  readonly addresses: readonly string[];
  /** Runs in a virtual machine of its own, so that the node sees no process of it. */
  readonly isVirtual: boolean;
}

/** A TCP connection that a pod has opened to the node. */
export interface PodConnection extends CallerConnection {
  readonly pod: RunningPod;
  readonly address: string;
}

/**
 * A node in three layers that lag behind each other, as real ones do: what runs (the kernel knows it
 * at once), what kubelet has told the API server, and what the API server has told its watches.
 */
export interface NodeWorld {
  readonly api: PodApi;
  /** What the kernel says; a virtual machine's sockets are in no table. */
  readonly attestor: Attestor;
  readonly running: readonly RunningPod[];
  /** Starts a pod; nobody is told. Its addresses must be free. */
  start(pod: RunningPod): void;
  /** kubelet tells the API server what the pod is now: with its addresses, or finished, or gone. */
  report(uid: string, how?: "removed" | "finished"): void;
  /** Ends a pod: its addresses are free at once. */
  stop(uid: string): void;
  connect(pod: RunningPod, address: string): PodConnection;
}

/** A pod of that UID with these addresses, which does not run yet. */
export function runningPod(uid: string, ...addresses: readonly string[]): RunningPod {
  return { uid, name: `pod-${uid}`, addresses, isVirtual: false };
}

export function createNodeWorld(): NodeWorld {
  const api = createPodApi();
  const running = new Map<string, RunningPod>();
  const known = new Map<string, RunningPod>();
  const connections = new Set<PodConnection>();
  let port = 40_000;

  const apiPod = ({ uid, name, addresses }: RunningPod, phase: string): ApiPod => ({
    metadata: { uid, name, namespace: "team" },
    spec: { nodeName: NODE, serviceAccountName: `sa-${uid}` },
    status: {
      phase,
      podIP: addresses[0] ?? "",
      podIPs: addresses.map((ip) => ({ ip })),
      hostIP: "10.1.0.1",
    },
  });

  return {
    api,
    get running() {
      return [...running.values()];
    },
    attestor: {
      attest: async (podUid, { localAddress, localPort }) => {
        const owner = [...connections].find(
          ({ pod, address, remotePort }) =>
            running.get(pod.uid) === pod &&
            !pod.isVirtual &&
            address === localAddress &&
            remotePort === localPort,
        )?.pod.uid;
        if (owner === podUid) return "owned";
        const isVisible = running.get(podUid)?.isVirtual === false;
        return isVisible || owner !== undefined ? "foreign" : "unseen";
      },
      isThere: async (podUid) => running.get(podUid)?.isVirtual === false,
    },
    start(pod) {
      running.set(pod.uid, pod);
      known.set(pod.uid, pod);
    },
    report(uid, how = "removed") {
      const pod = known.get(uid);
      if (pod === undefined) return;
      if (running.has(uid)) api.put(apiPod(pod, "Running"));
      else if (how === "finished") api.put(apiPod(pod, "Succeeded"));
      else api.remove("team", pod.name);
    },
    stop(uid) {
      running.delete(uid);
    },
    connect(pod, address) {
      port += 1;
      const here = { localAddress: "10.1.0.1", localPort: 8181 };
      const connection = { pod, address, remotePort: port, ...here };
      connections.add(connection);
      return connection;
    },
  };
}
