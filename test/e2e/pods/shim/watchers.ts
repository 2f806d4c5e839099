import type { Cluster } from "../../../kubernetes/cluster.ts";
import { eventually } from "../eventually.ts";
import { FAMILIES, sightsOf, type Sight } from "../metadata-watcher.ts";

/** The namespace of the watchers, one on each node. */
export const WATCHED = "watched";
/** All nodes of the cluster. */
export const NODES = ["node-0", "node-1"] as const;

/** Each node with each family: what a watcher sees. */
export const VIEWS = NODES.flatMap((nodeName) => FAMILIES.map((family) => ({ nodeName, family })));

/** Resolves when the watchers of all nodes have seen it, by both families. */
export async function untilEachWatcher(
  cluster: Cluster,
  what: string,
  isSeen: (sights: readonly Sight[]) => boolean,
  sinceMs = 0,
): Promise<void> {
  for (const view of VIEWS) {
    let sights: readonly Sight[] = [];
    await eventually(
      `${what} at the watcher of ${view.nodeName} by ${view.family}`,
      async () => {
        sights = await sightsOf(cluster, { namespace: WATCHED, ...view, sinceMs });
        return isSeen(sights) || undefined;
      },
      async () => JSON.stringify(sights.slice(-5)),
    );
  }
}
