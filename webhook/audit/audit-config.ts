import { integer, toggle, value, type ConfigOf } from "../../lib/config.ts";

/** What the audit after admission can be told. */
export const AUDIT_SETTINGS = {
  audit: toggle(
    "audit",
    true,
    "Watches the pods of covered namespaces and tells which lack their identity",
  ),
  auditAllNamespaces: toggle(
    "audit-all-namespaces",
    false,
    "Audits every namespace that is not labelled otherwise, where the webhook covers all",
  ),
  auditEvict: toggle(
    "audit-evict",
    false,
    "Evicts pods that lack their identity where a new pod of their controller gets it",
  ),
  auditEvictPerMinute: value(
    "audit-evict-per-minute",
    integer({ min: 1, max: 600, fallback: 5 }),
    "Most evictions a minute",
  ),
} as const;

export type AuditConfig = ConfigOf<typeof AUDIT_SETTINGS>;

/** Rules between the audit's settings, as sentences about those that are broken. */
export function checkAuditConfig({ audit, auditEvict }: AuditConfig): readonly string[] {
  return auditEvict && !audit ? ["--audit-evict needs --audit"] : [];
}
