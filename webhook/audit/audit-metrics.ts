import { Counter, Gauge, type Registry } from "prom-client";
import type { EventResult } from "../../lib/kube/events.ts";
import type { FindingReason } from "./finding.ts";

/** What became of a wish to evict a pod. */
export type EvictionResult = "evicted" | "refused" | "gone" | "failed";

/** The audit's instruments. */
export interface AuditMetrics {
  /** Sets the findings there are now; those of before are forgotten. */
  setFindings(
    findings: Iterable<{ readonly namespace: string; readonly reason: FindingReason }>,
  ): void;
  found(reason: FindingReason): void;
  event(result: EventResult): void;
  /** Events that are due and wait for their bound. */
  setEventsWaiting(count: number): void;
  eviction(result: EvictionResult): void;
  /** Whether this replica is the one that audits. */
  setActive(active: boolean): void;
  setPods(pods: { readonly count: number; readonly staleSeconds: number }): void;
}

export function createAuditMetrics(registry: Registry): AuditMetrics {
  const registers = [registry];
  const findings = new Gauge({
    name: "irsa_webhook_audit_findings",
    help: "Pods that do not carry the identity they should, by what is wrong",
    labelNames: ["namespace", "reason"],
    registers,
  });
  const found = new Counter({
    name: "irsa_webhook_audit_found_total",
    help: "Pods found without the identity they should carry",
    labelNames: ["reason"],
    registers,
  });
  const events = new Counter({
    name: "irsa_webhook_audit_events_total",
    help: "Events that the audit wrote, by what became of them",
    labelNames: ["result"],
    registers,
  });
  const eventsWaiting = new Gauge({
    name: "irsa_webhook_audit_events_waiting",
    help: "Events that are due, and wait since the audit writes only so many a minute",
    registers,
  });
  const evictions = new Counter({
    name: "irsa_webhook_audit_evictions_total",
    help: "Pods that the audit asked to evict, by what became of them",
    labelNames: ["result"],
    registers,
  });
  const active = new Gauge({
    name: "irsa_webhook_audit_active",
    help: "1 on the replica that audits, 0 on the others",
    registers,
  });
  const pods = new Gauge({
    name: "irsa_webhook_audited_pods",
    help: "Pods that the audit knows, those of covered namespaces",
    registers,
  });
  const stale = new Gauge({
    name: "irsa_webhook_audit_stale_seconds",
    help: "Time since the API server last told anything about pods",
    registers,
  });
  return {
    setFindings(current) {
      findings.reset();
      for (const { namespace, reason } of current) findings.inc({ namespace, reason });
    },
    found: (reason) => found.inc({ reason }),
    event: (result) => events.inc({ result }),
    setEventsWaiting: (count) => eventsWaiting.set(count),
    eviction: (result) => evictions.inc({ result }),
    setActive: (value) => active.set(value ? 1 : 0),
    setPods({ count, staleSeconds }) {
      pods.set(count);
      stale.set(staleSeconds);
    },
  };
}
