import type { Cluster } from "../../../kubernetes/cluster.ts";
import { eventually } from "../eventually.ts";
import { sightsOf, type Sight } from "../metadata-watcher.ts";

/** The namespace of the watchers, one on each node. */
export const WATCHED = "watched";
/** All nodes of the cluster. */
export const NODES = ["node-0", "node-1"] as const;

/** Resolves when the watchers of all nodes have seen it. */
export async function untilEachWatcher(
  cluster: Cluster,
  what: string,
  isSeen: (sights: readonly Sight[]) => boolean,
  sinceMs = 0,
): Promise<void> {
  for (const nodeName of NODES) {
    let sights: readonly Sight[] = [];
    await eventually(
      `${what} at the watcher of ${nodeName}`,
      async () => {
        sights = await sightsOf(cluster, { namespace: WATCHED, nodeName, sinceMs });
        return isSeen(sights) || undefined;
      },
      async () => JSON.stringify(sights.slice(-5)),
    );
  }
}
