import { existsSync } from "node:fs";
import { AppError } from "../../lib/errors.ts";
import type { Cluster } from "./cluster.ts";
import type { Stage } from "./stage.ts";

// The bundle does not carry the Go module that the components are built from.
const COMPONENTS = new URL("../../test/kubernetes/components/go.mod", import.meta.url);

/**
 * Starts a real etcd and kube-apiserver, with keys of their own, that sign tokens as `issuer`.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE where they cannot be built.
 */
export async function startRealCluster(_stage: Stage, issuer: string): Promise<Cluster> {
  if (!existsSync(COMPONENTS)) {
    const message =
      "Cannot start a real control plane: expected to run in a checkout of irsa-anywhere";
    throw new AppError("KUBERNETES_UNAVAILABLE", 500, message);
  }
  const { startControlPlane } = await import("../../test/kubernetes/control-plane.ts");
  const controlPlane = await startControlPlane({ issuers: [issuer] });
  return {
    name: "real etcd and kube-apiserver, built from Go modules",
    apiServers: controlPlane.apiServers.map(({ url }) => url),
    kubeconfig: controlPlane.kubeconfig,
    [Symbol.asyncDispose]: () => controlPlane[Symbol.asyncDispose](),
  };
}
