import type { V1ContainerStatus, V1Pod } from "@kubernetes/client-node";
import type { Cluster } from "../../kubernetes/cluster.ts";
import type { ClusterNode } from "../../kubernetes/nodes/cluster-node.ts";
import { eventually } from "./eventually.ts";

/** Where the chart has the shim. */
export const SHIM_NAMESPACE = "kube-system";
export const SHIM_ACCOUNT = { namespace: SHIM_NAMESPACE, name: "irsa-shim" };

/** Resolves when the DaemonSet is what was asked for on every node. */
export async function untilShimRolledOut(cluster: Cluster): Promise<void> {
  const where = ["daemonset/irsa-shim", `--namespace=${SHIM_NAMESPACE}`, "--timeout=180s"];
  await cluster.kubectl("rollout", "status", ...where);
}

/** The shim's pod of each node, in the order of the nodes. */
export async function shimPods({ admin }: Cluster): Promise<readonly V1Pod[]> {
  const { items } = await admin.core.listNamespacedPod({
    namespace: SHIM_NAMESPACE,
    labelSelector: "app.kubernetes.io/component=shim",
  });
  return items.toSorted((a, b) => (a.spec?.nodeName ?? "").localeCompare(b.spec?.nodeName ?? ""));
}

/**
 * Ends the process that serves on each node with SIGKILL, again and again, each time as soon as it
 * serves. Resolves when another one is ready on each.
 *
 * @returns how often the container was started again on each node.
 */
export async function killShims(cluster: Cluster, times: number): Promise<readonly number[]> {
  await Promise.all(
    cluster.nodes.map((node) => node.run(...BOUNDED, "/bin/sh", "-c", KILL, "kill", `${times}`)),
  );
  return eventually("a shim that is ready on each node", async () => {
    const statuses = (await shimPods(cluster)).map(statusOf);
    const areBack = statuses.every(
      (status) => (status?.restartCount ?? 0) >= times && status?.ready === true,
    );
    return areBack ? statuses.map((status) => status?.restartCount ?? 0) : undefined;
  });
}

/** A shim that never comes back, or is not found, must not keep the test from its end. */
const BOUNDED = ["timeout", "300"] as const;

// Found by its command line, and ended by its id. It serves pods when its admin port (8182) is there.
const KILL = `
  while [ "$1" -gt 0 ]; do
    for process in /proc/[0-9]*; do
      tr '\\0' ' ' <"$process/cmdline" 2>/dev/null |
        grep -q '^/nodejs/bin/node .*/app/irsa.mjs shim --app-port' || continue
      until grep -q ' 0100007F:1FF6 [0-9A-F:]* 0A' /proc/net/tcp; do sleep 0.1; done
      sleep 0.3
      kill -KILL "\${process#/proc/}" && set -- $(($1 - 1))
    done
    sleep 0.1
  done`;

function statusOf({ status }: V1Pod): V1ContainerStatus | undefined {
  return status?.containerStatuses?.find(({ name }) => name === "shim");
}

/** The number that a node's shim tells of a metric without labels. */
export async function shimMetric(
  cluster: Cluster,
  {
    node,
    port,
    name,
  }: { readonly node: ClusterNode; readonly port: number; readonly name: string },
): Promise<number> {
  const local = await cluster.forward(node.address, port);
  const text = await (await fetch(`http://127.0.0.1:${local}/metrics`)).text();
  const found = new RegExp(`^${name} (\\S+)$`, "m").exec(text)?.[1];
  if (found === undefined) throw new Error(`Expected the metric ${name}: ${text}`);
  return Number(found);
}
