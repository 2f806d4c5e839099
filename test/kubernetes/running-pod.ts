import type { CoreV1Api, V1Pod, V1PodSpec } from "@kubernetes/client-node";
import { setTimeout as sleep } from "node:timers/promises";
import { TOOLS_IMAGE } from "./nodes/busybox-images.ts";

const POLL_MS = 50;
const PATIENCE_MS = 120_000;

/** A pod with a shell and the usual small programs, which does nothing until something is run in it. */
export function toolsPod(name: string, spec: Partial<V1PodSpec> = {}): V1Pod {
  return {
    metadata: { name, labels: { app: name } },
    spec: {
      // As the first process of its container a shell does not hear SIGTERM.
      terminationGracePeriodSeconds: 0,
      containers: [{ name: "tools", image: TOOLS_IMAGE, imagePullPolicy: "Never" }],
      ...spec,
    },
  };
}

/**
 * Creates a pod, and resolves when it is Ready.
 *
 * @throws Error with its status when it failed or is not Ready after two minutes.
 */
export async function createReadyPod(
  core: CoreV1Api,
  namespace: string,
  body: V1Pod,
): Promise<{ readonly uid: string; readonly ip: string }> {
  const created = await core.createNamespacedPod({ namespace, body });
  const name = created.metadata?.name ?? "";
  const startMs = Date.now();
  for (;;) {
    const pod = await core.readNamespacedPod({ namespace, name });
    const { phase, podIP, conditions = [] } = pod.status ?? {};
    const isReady = conditions.some(({ type, status }) => type === "Ready" && status === "True");
    if (isReady && podIP !== undefined) return { uid: pod.metadata?.uid ?? "", ip: podIP };
    if (phase === "Failed" || Date.now() - startMs > PATIENCE_MS) {
      throw new Error(`Expected pod ${namespace}/${name} to run: ${JSON.stringify(pod.status)}`);
    }
    await sleep(POLL_MS);
  }
}
