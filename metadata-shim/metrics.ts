import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import { createAnswerCounter, createDurationHistogram } from "./answer-tally.ts";
import type { CredentialFailure } from "./credentials/credentials.ts";
import type { Resource } from "./imds/metadata-tree.ts";

export interface ShimMetrics {
  /** An answer of the metadata service, by its status; how long it took is told apart. */
  readonly answered: (resource: Resource["kind"] | "none", status: number) => void;
  readonly answeredIn: (seconds: number) => void;
  /** An answer of the container-credentials endpoint. */
  readonly containerAnswered: (status: number) => void;
  readonly issued: Pick<Counter, "inc">;
  readonly legacyIssued: Pick<Counter<"role">, "inc"> & {
    inc(labels: { role: string }): void;
  };
  readonly exchangeSeconds: Pick<Histogram<"code">, "observe"> & {
    observe(labels: { code: string }, seconds: number): void;
  };
  readonly forbidden: Pick<Counter, "inc">;
  readonly credentialErrors: Pick<Counter<"kind">, "inc"> & {
    inc(labels: { kind: CredentialFailure["kind"] }): void;
  };
  readonly refusedConnections: Pick<Counter, "inc">;
  readonly foreignConnections: Pick<Counter, "inc">;
  readonly knownPods: Pick<Gauge, "set">;
  readonly podsStaleSeconds: Pick<Gauge, "set">;
  readonly credentialEntries: Pick<Gauge, "set">;
}

/** A cached answer takes well below a millisecond, a first one a call of STS. */
const REQUEST_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** STS answers in some hundred milliseconds, after it has asked the issuer. */
const EXCHANGE_BUCKETS_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

/** Makes the shim's instruments; the gauges are set when they are read. */
export function createMetrics(registry: Registry): ShimMetrics {
  const registers = [registry];
  const countContainerAnswer = createAnswerCounter(
    {
      name: "irsa_shim_container_credentials_requests_total",
      help: "Requests of container credentials, by the status of the answer",
      labelNames: ["code"],
      registers,
    },
    (_word, code) => ({ code }),
  );
  return {
    answered: createAnswerCounter(
      {
        name: "irsa_shim_requests_total",
        help: "Requests of the metadata service, by what was asked for and the status of the answer",
        labelNames: ["resource", "code"],
        registers,
      },
      (resource, code) => ({ resource, code }),
    ),
    answeredIn: createDurationHistogram({
      name: "irsa_shim_request_duration_seconds",
      help: "Time from a request's head to its answer",
      buckets: REQUEST_BUCKETS_SECONDS,
      registers,
    }),
    containerAnswered: (status) => countContainerAnswer("credentials", status),
    issued: new Counter({
      name: "irsa_shim_credentials_issued_total",
      help: "Credentials that STS gave for pods of this node",
      registers,
    }),
    legacyIssued: new Counter({
      name: "irsa_shim_legacy_credentials_total",
      help: "Credentials that the node's own rights gave in place of web identity, by role",
      labelNames: ["role"],
      registers,
    }),
    exchangeSeconds: new Histogram({
      name: "irsa_shim_sts_duration_seconds",
      help: "Time of calls of STS, by the code of the answer",
      labelNames: ["code"],
      buckets: EXCHANGE_BUCKETS_SECONDS,
      registers,
    }),
    forbidden: new Counter({
      name: "irsa_shim_forbidden_total",
      help: "Requests for what a policy forbids, or for another role than the pod's",
      registers,
    }),
    credentialErrors: new Counter({
      name: "irsa_shim_credential_errors_total",
      help: "Tries to get credentials that failed, by the kind of failure",
      labelNames: ["kind"],
      registers,
    }),
    refusedConnections: new Counter({
      name: "irsa_shim_refused_connections_total",
      help: "Connections that were closed at once since their address, or all together, had too many",
      registers,
    }),
    foreignConnections: new Counter({
      name: "irsa_shim_foreign_connections_total",
      help: "Connections that showed the address of a pod which, by the kernel, has no end of them",
      registers,
    }),
    knownPods: new Gauge({
      name: "irsa_shim_known_pods",
      help: "Pods of this node that may call from an address of their own",
      registers,
    }),
    podsStaleSeconds: new Gauge({
      name: "irsa_shim_pods_stale_seconds",
      help: "Time since the API server last told anything about the pods of this node",
      registers,
    }),
    credentialEntries: new Gauge({
      name: "irsa_shim_credential_entries",
      help: "Credentials that are kept, and failures",
      registers,
    }),
  };
}
