import { Counter, Histogram, type Registry } from "prom-client";
import type { CredentialFailure } from "./credentials/credentials.ts";
import type { Resource } from "./imds/metadata-tree.ts";

export interface ShimMetrics {
  readonly requests: Pick<Counter<"resource" | "code">, "inc"> & {
    inc(labels: { resource: Resource["kind"] | "none"; code: string }): void;
  };
  readonly requestSeconds: Pick<Histogram, "observe">;
  readonly containerRequests: Pick<Counter<"code">, "inc"> & {
    inc(labels: { code: string }): void;
  };
  readonly handedOut: Pick<Counter, "inc">;
  readonly forbidden: Pick<Counter, "inc">;
  readonly credentialErrors: Pick<Counter<"kind">, "inc"> & {
    inc(labels: { kind: CredentialFailure["kind"] }): void;
  };
  readonly refusedConnections: Pick<Counter, "inc">;
}

/** A cached answer takes well below a millisecond, a first one a call of STS. */
const REQUEST_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** Makes the shim's instruments. */
export function createMetrics(registry: Registry): ShimMetrics {
  const registers = [registry];
  return {
    requests: new Counter({
      name: "irsa_shim_requests_total",
      help: "Requests of the metadata service, by what was asked for and the status of the answer",
      labelNames: ["resource", "code"],
      registers,
    }),
    requestSeconds: new Histogram({
      name: "irsa_shim_request_duration_seconds",
      help: "Time from a request's head to its answer",
      buckets: REQUEST_BUCKETS_SECONDS,
      registers,
    }),
    containerRequests: new Counter({
      name: "irsa_shim_container_credentials_requests_total",
      help: "Requests of container credentials, by the status of the answer",
      labelNames: ["code"],
      registers,
    }),
    handedOut: new Counter({
      name: "irsa_shim_credentials_handed_out_total",
      help: "Credentials that a pod got for the first time",
      registers,
    }),
    forbidden: new Counter({
      name: "irsa_shim_forbidden_total",
      help: "Requests for what a policy forbids, or for another role than the pod's",
      registers,
    }),
    credentialErrors: new Counter({
      name: "irsa_shim_credential_errors_total",
      help: "Requests of pods that may have their role and got no credentials, by the kind of failure",
      labelNames: ["kind"],
      registers,
    }),
    refusedConnections: new Counter({
      name: "irsa_shim_refused_connections_total",
      help: "Connections that were closed at once since their address, or all together, had too many",
      registers,
    }),
  };
}
