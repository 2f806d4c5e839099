import { z } from "zod";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { withQuery } from "../../lib/kube/query.ts";
import { metadataShimsIn } from "./metadata-shims.ts";
import { readFound } from "./read-found.ts";
import type { Found, ObservedShim } from "./snapshot.ts";

type Connection = Pick<KubeConnection, "request">;

const Pods = z.looseObject({
  items: z.array(
    z.looseObject({
      status: z
        .looseObject({
          conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish(),
        })
        .nullish(),
    }),
  ),
});
const Node = z.looseObject({
  spec: z.looseObject({ taints: z.array(z.looseObject({ key: z.string() })).nullish() }),
});

/** Reads which metadata shims there are, and how each stands on the node of a pod. */
export async function observeShims(
  connection: Connection,
  nodeName: string | undefined,
): Promise<Found<readonly ObservedShim[]>> {
  const shims = await readFound(
    connection,
    "/apis/apps/v1/daemonsets",
    "list daemonsets.apps -A",
    metadataShimsIn,
  );
  if (shims.status !== "found") return shims;
  const value = await Promise.all(
    shims.value.map(async (shim) => {
      if (nodeName === undefined) return { ...shim, onNode: undefined, taints: undefined };
      const labels = Object.entries(shim.podLabels).map(([key, label]) => `${key}=${label}`);
      const [onNode, taints] = await Promise.all([
        readFound(
          connection,
          withQuery(`/api/v1/namespaces/${shim.namespace}/pods`, {
            labelSelector: labels.join(","),
            fieldSelector: `spec.nodeName=${nodeName}`,
          }),
          `list pods -n ${shim.namespace}`,
          standingIn,
        ),
        readFound(
          connection,
          `/api/v1/nodes/${encodeURIComponent(nodeName)}`,
          `get nodes/${nodeName}`,
          (body) => (Node.parse(body).spec.taints ?? []).map(({ key }) => key),
        ),
      ]);
      return { ...shim, onNode, taints };
    }),
  );
  return { status: "found", value };
}

function standingIn(body: unknown): "ready" | "not ready" | "absent" {
  const { items } = Pods.parse(body);
  if (items.length === 0) return "absent";
  const isReady = items.some(({ status }) =>
    status?.conditions?.some(({ type, status: state }) => type === "Ready" && state === "True"),
  );
  return isReady ? "ready" : "not ready";
}
