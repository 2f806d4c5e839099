import { z } from "zod";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import { LiveReads, type LiveReadsDeps } from "../../lib/kube/live-reads.ts";
import type { PodPlace } from "../validation/token-request.ts";

const Placed = z.looseObject({
  spec: z.looseObject({ nodeName: z.string().min(1).optional() }),
});

/**
 * Reads where pods are, always live: a place of a moment ago may be that of another pod.
 *
 * @returns a function that gives undefined when there is no such pod, and throws AppError
 *   KUBERNETES_FORBIDDEN, KUBERNETES_REFUSED or KUBERNETES_UNAVAILABLE when nobody knows.
 */
export function createPodPlaces(
  deps: Pick<LiveReadsDeps<PodPlace>, "connection" | "timeoutMs">,
): (namespace: string, name: string) => Promise<PodPlace | undefined> {
  const reads = new LiveReads({ ...deps, keep, metadataOnly: false, onLiveRead: () => {} });
  return (namespace, name) => reads.read(["namespaces", namespace, "pods", name]);
}

function keep(pod: KubeObject): PodPlace {
  return { uid: pod.metadata.uid ?? "", nodeName: Placed.safeParse(pod).data?.spec.nodeName };
}
