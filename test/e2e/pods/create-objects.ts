import type { Cluster } from "../../kubernetes/cluster.ts";

/** Creates objects of any kinds in a namespace. */
export async function createObjects(
  cluster: Cluster,
  namespace: string,
  objects: readonly object[],
): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items: objects };
  await cluster.kubectlWith(JSON.stringify(list), "create", `-n${namespace}`, "-f", "-");
}
