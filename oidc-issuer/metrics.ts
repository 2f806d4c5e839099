import { Counter, Gauge, type Registry } from "prom-client";
import type { FilterReason } from "./jwk.ts";
import type { PollFailure } from "./key-source.ts";
import type { KnownKey } from "./merge.ts";

/** The document that a request was for, as a label. */
export type RequestedPath = "discovery" | "jwks" | "other";

export interface Metrics {
  requested(path: RequestedPath, code: number): void;
  pollSucceeded(instance: string, atMs: number): void;
  pollFailed(instance: string, reason: PollFailure): void;
  instanceGone(instance: string): void;
  filtered(counts: ReadonlyMap<FilterReason, number>): void;
  /** What the merge found: the published keys, and how many were withheld. */
  merged(result: {
    readonly keys: readonly KnownKey[];
    readonly conflicts: number;
    readonly overLimit: number;
  }): void;
  stateSaved(atMs: number): void;
  stateFailed(operation: "load" | "save"): void;
  published(atMs: number): void;
  publishFailed(): void;
  certificateExpires(atMs: number): void;
}

/**
 * Makes the issuer's instruments in a registry.
 *
 * @param nowMs For the staleness, which is computed when somebody asks for it.
 */
export function createMetrics(registry: Registry, nowMs: () => number): Metrics {
  const registers = [registry];
  const gauge = <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers });
  /** Without a sample until it is set: a moment of zero would be 1970, and an alert. */
  const momentGauge = (name: string, help: string) => {
    const made = gauge(name, help);
    made.remove();
    return made;
  };
  const counter = <L extends string = never>(name: string, help: string, labelNames: L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers });

  const requests = counter("oidc_http_requests_total", "Answered requests", ["path", "code"]);
  const upstreamSuccess = gauge(
    "oidc_upstream_last_success_timestamp_seconds",
    "When this API server or file last gave keys",
    ["instance"],
  );
  const upstreamErrors = counter(
    "oidc_upstream_errors_total",
    "Polls of this API server or file that gave no keys",
    ["instance", "reason"],
  );
  const keyCount = gauge("oidc_jwks_keys", "Published keys", ["kty"]);
  const filteredKeys = gauge(
    "oidc_jwks_filtered_keys",
    "Keys that sources serve now and that are not published, since STS cannot use them",
    ["reason"],
  );
  const conflicts = gauge(
    "oidc_jwks_conflicting_keys",
    "Key ids that sources serve now with different keys",
  );
  const overLimit = gauge(
    "oidc_jwks_over_limit_keys",
    "New keys that are withheld, since STS accepts no more of their type",
  );
  const firstSeen = gauge("oidc_key_first_seen_timestamp_seconds", "First seen at a source", [
    "kid",
  ]);
  const lastSeen = gauge("oidc_key_last_seen_timestamp_seconds", "Last seen at a source", ["kid"]);
  const stateSaved = momentGauge(
    "oidc_state_last_save_timestamp_seconds",
    "When the published keys were last saved for a restart",
  );
  const stateErrors = counter("oidc_state_errors_total", "Failed loads and saves of the keys", [
    "operation",
  ]);
  const published = momentGauge(
    "oidc_publish_last_success_timestamp_seconds",
    "When the documents in the directory were last known to be the desired ones",
  );
  const publishErrors = counter("oidc_publish_errors_total", "Failed writes of the documents");
  const certificate = momentGauge(
    "oidc_serving_cert_not_after_timestamp_seconds",
    "When the serving certificate expires",
  );

  let newestSightingMs: number | undefined;
  const staleness = new Gauge({
    name: "oidc_staleness_seconds",
    help: "Time since any published key was last seen at a source",
    registers,
    collect() {
      if (newestSightingMs !== undefined) this.set((nowMs() - newestSightingMs) / 1000);
    },
  });
  staleness.remove();

  return {
    requested: (path, code) => requests.inc({ path, code: String(code) }),
    pollSucceeded: (instance, atMs) => upstreamSuccess.set({ instance }, atMs / 1000),
    pollFailed: (instance, reason) => upstreamErrors.inc({ instance, reason }),
    instanceGone: (instance) => upstreamSuccess.remove({ instance }),
    filtered(counts) {
      filteredKeys.reset();
      for (const [reason, count] of counts) filteredKeys.set({ reason }, count);
    },
    merged(result) {
      const { keys } = result;
      for (const kty of ["RSA", "EC"]) {
        keyCount.set({ kty }, keys.filter(({ jwk }) => jwk.kty === kty).length);
      }
      conflicts.set(result.conflicts);
      overLimit.set(result.overLimit);
      firstSeen.reset();
      lastSeen.reset();
      for (const { jwk, firstSeenMs, lastSeenMs } of keys) {
        firstSeen.set({ kid: jwk.kid }, firstSeenMs / 1000);
        lastSeen.set({ kid: jwk.kid }, lastSeenMs / 1000);
      }
      if (keys.length > 0) newestSightingMs = Math.max(...keys.map((key) => key.lastSeenMs));
    },
    stateSaved: (atMs) => stateSaved.set(atMs / 1000),
    stateFailed: (operation) => stateErrors.inc({ operation }),
    published: (atMs) => published.set(atMs / 1000),
    publishFailed: () => publishErrors.inc(),
    certificateExpires: (atMs) => certificate.set(atMs / 1000),
  };
}
