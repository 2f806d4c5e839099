import { Counter, Gauge, Histogram, type Registry } from "prom-client";
import {
  createCertificateMetrics,
  type CertificateMetrics,
} from "./certificates/certificate-metrics.ts";
import type { LiveReadResult } from "../lib/kube/live-reads.ts";
import type { ReviewReason } from "./admission/review.ts";
import type { Validation } from "./validation/validation.ts";

/** What became of a request for a review. */
export type Outcome = "mutated" | "unchanged" | "denied" | "refused";
/** Why; beside the reasons of an answer, those of a request that is none. */
export type OutcomeReason = ReviewReason | "unreadable-request" | "internal-error";

/** Configuration beside flags and annotations that others write. */
export type ConfigSource = (typeof CONFIG_SOURCES)[number];
const CONFIG_SOURCES = ["config-map", "container-credentials"] as const;

export interface WebhookMetrics extends CertificateMetrics {
  readonly reviews: Pick<Counter<"outcome" | "reason">, "inc"> & {
    inc(labels: { outcome: Outcome; reason: OutcomeReason }): void;
  };
  readonly reviewSeconds: Pick<Histogram, "observe">;
  readonly liveReads: Pick<Counter<"result">, "inc"> & {
    inc(labels: { result: LiveReadResult }): void;
  };
  readonly configErrors: Pick<Counter<"source">, "inc"> & {
    inc(labels: { source: ConfigSource }): void;
  };
  readonly validations: Pick<Counter<"outcome">, "inc"> & {
    inc(labels: { outcome: Validation["outcome"] }): void;
  };
  readonly tokenRequests: Pick<Counter<"outcome">, "inc"> & {
    inc(labels: { outcome: "allowed" | "denied" }): void;
  };
  readonly namespaceLiveReads: Pick<Counter<"result">, "inc"> & {
    inc(labels: { result: LiveReadResult }): void;
  };
  readonly cachedServiceAccounts: Pick<Gauge, "set">;
  readonly cachedNamespaces: Pick<Gauge, "set">;
  readonly cacheStaleSeconds: Pick<Gauge, "set">;
}

/** A review takes well below a millisecond from the cache and at most a second live. */
const REVIEW_BUCKETS_SECONDS = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
];

/** Makes the webhook's instruments; the gauges are set when they are read. */
export function createMetrics(registry: Registry): WebhookMetrics {
  const registers = [registry];
  const configErrors = new Counter({
    name: "irsa_webhook_config_errors_total",
    help: "Contents of a configuration that could not be used, so that the last good one stayed",
    labelNames: ["source"],
    registers,
  });
  // From the start, since an increase from nothing is none to Prometheus.
  for (const source of CONFIG_SOURCES) configErrors.inc({ source }, 0);
  return {
    configErrors,
    reviews: new Counter({
      name: "irsa_webhook_reviews_total",
      help: "Admission reviews by what became of them and why",
      labelNames: ["outcome", "reason"],
      registers,
    }),
    reviewSeconds: new Histogram({
      name: "irsa_webhook_review_duration_seconds",
      help: "Time from a review's first byte to its answer",
      buckets: REVIEW_BUCKETS_SECONDS,
      registers,
    }),
    liveReads: new Counter({
      name: "irsa_webhook_service_account_live_reads_total",
      help: "ServiceAccounts read from the API server because the cache had no role for them",
      labelNames: ["result"],
      registers,
    }),
    validations: new Counter({
      name: "irsa_webhook_validations_total",
      help: "ServiceAccounts and Namespaces judged, by what became of them",
      labelNames: ["outcome"],
      registers,
    }),
    tokenRequests: new Counter({
      name: "irsa_webhook_token_requests_total",
      help: "Tokens that the metadata shim asked for, by what became of them",
      labelNames: ["outcome"],
      registers,
    }),
    namespaceLiveReads: new Counter({
      name: "irsa_webhook_namespace_live_reads_total",
      help: "Namespaces read from the API server because the cache had not heard of them",
      labelNames: ["result"],
      registers,
    }),
    cachedNamespaces: new Gauge({
      name: "irsa_webhook_cached_namespaces",
      help: "Namespaces in the cache",
      registers,
    }),
    cachedServiceAccounts: new Gauge({
      name: "irsa_webhook_cached_service_accounts",
      help: "ServiceAccounts in the cache",
      registers,
    }),
    cacheStaleSeconds: new Gauge({
      name: "irsa_webhook_cache_stale_seconds",
      help: "Time since the API server last told anything about ServiceAccounts, or about Namespaces if that is longer ago",
      registers,
    }),
    ...createCertificateMetrics(registry),
  };
}
