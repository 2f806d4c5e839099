import type { V1Pod } from "@kubernetes/client-node";
import type { Cluster } from "../../kubernetes/cluster.ts";
import { eventually } from "./eventually.ts";

/** Where a client runs: the pod by its label `app`. */
export interface ClientPlace {
  readonly namespace: string;
  readonly app: string;
  readonly container: string;
}

/** The ARN that a client said it was, as soon as it has. */
export async function arnSaid(cluster: Cluster, place: ClientPlace): Promise<string> {
  return said(cluster, place, /^\{"arn":"(.*)"\}$/m);
}

/** What of a client's log matches: the first group, or all. */
export async function said(
  cluster: Cluster,
  { namespace, app, container }: ClientPlace,
  pattern: RegExp,
): Promise<string> {
  const { core } = cluster.admin;
  let log = "";
  return eventually(
    `${pattern.source} in the log of ${app}/${container}`,
    async () => {
      const pod = await podOf(core, namespace, app);
      if (pod?.metadata?.name === undefined) return undefined;
      const asked = { namespace, name: pod.metadata.name, container };
      // Not before the container has been started.
      log = await core.readNamespacedPodLog(asked).catch(() => "");
      const found = pattern.exec(log);
      return found?.[1] ?? found?.[0];
    },
    async () =>
      `${log}\n${await cluster.kubectl("describe", "pod", `-lapp=${app}`, `-n${namespace}`)}`,
  );
}

/** The first pod with a label `app`. */
export async function podOf(
  core: Cluster["admin"]["core"],
  namespace: string,
  app: string,
): Promise<V1Pod | undefined> {
  const { items } = await core.listNamespacedPod({ namespace, labelSelector: `app=${app}` });
  return items[0];
}
