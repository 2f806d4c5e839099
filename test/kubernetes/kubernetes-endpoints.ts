import type { V1EndpointSlice } from "@kubernetes/client-node";
import type { Etcd } from "./etcd.ts";

/** Below the API server's default `--etcd-prefix`. */
const KEY = "/registry/endpointslices/default/kubernetes";

/**
 * Writes the EndpointSlice `default/kubernetes`, in which clients inside of a cluster find its API
 * servers, in the shape that the API server's own reconciler gives it: one slice, one endpoint for each
 * API server, one port named `https`.
 *
 * It goes into etcd directly. Through the API it cannot be written, neither by the reconciler nor by an
 * admin: Endpoints and EndpointSlices with loopback addresses are refused ("may not be in the loopback
 * range"), and these API servers listen nowhere else. Reads, lists and watches serve it as any other.
 */
export async function writeKubernetesEndpoints(
  etcd: Pick<Etcd, "put">,
  slice: {
    readonly uid: string;
    readonly generation: number;
    readonly createdAtMs: number;
    /** Of the running API servers, which all listen on the same port. */
    readonly addresses: readonly string[];
    readonly port: number;
  },
): Promise<void> {
  const metadata = {
    name: "kubernetes",
    namespace: "default",
    uid: slice.uid,
    generation: slice.generation,
    // The API's times have no fractions of a second.
    creationTimestamp: `${new Date(slice.createdAtMs).toISOString().slice(0, 19)}Z`,
    labels: { "kubernetes.io/service-name": "kubernetes" },
  };
  const value = {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata,
    addressType: "IPv4",
    endpoints: slice.addresses.map((address) => ({
      addresses: [address],
      conditions: { ready: true },
    })),
    ports: [{ name: "https", port: slice.port, protocol: "TCP" }],
  } satisfies Record<keyof V1EndpointSlice, unknown>;
  await etcd.put(KEY, JSON.stringify(value));
}
