import { startControlPlane } from "../../test/kubernetes/control-plane.ts";
import type { Cluster } from "./cluster.ts";
import type { Stage } from "./stage.ts";

/** Starts a real etcd and kube-apiserver, with keys of their own, that sign tokens as `issuer`. */
export async function startRealCluster(_stage: Stage, issuer: string): Promise<Cluster> {
  const controlPlane = await startControlPlane({ issuers: [issuer] });
  return {
    name: "real etcd and kube-apiserver, built from Go modules",
    apiServers: controlPlane.apiServers.map(({ url }) => url),
    kubeconfig: controlPlane.kubeconfig,
    [Symbol.asyncDispose]: () => controlPlane[Symbol.asyncDispose](),
  };
}
