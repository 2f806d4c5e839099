/** What is looked at, in the order in which an identity comes about. */
export const STEP_TITLES = {
  "namespace-label": "Namespace label",
  tier: "Tier",
  configuration: "Webhook configuration",
  reachable: "Webhook reachable",
  trusted: "Webhook trusted",
  skipped: "Skip labels",
  "service-account": "ServiceAccount",
  annotation: "Role annotation",
  age: "Annotation older than pod",
  environment: "Injected variables",
  volume: "Token volume",
  readable: "Token readable",
  "other-credentials": "Other credentials",
  decision: "A new pod",
  shim: "Metadata shim",
  "shim-role": "Role by the shim",
  "shim-use": "Use of the shim",
  events: "Events",
} as const;
export type StepId = keyof typeof STEP_TITLES;

/**
 * - `ok`: as it should be
 * - `problem`: why the pod has no identity, or not the one it should have
 * - `note`: worth to know, and harmless to this pod
 * - `unknown`: it could not be looked at, or nothing in the cluster tells
 */
export type StepStatus = "ok" | "problem" | "note" | "unknown";

/** One answer of `irsa explain`. */
export interface Step {
  readonly id: StepId;
  readonly status: StepStatus;
  /** The values that were found. */
  readonly found: string;
  /** What they mean for the pod. */
  readonly meaning?: string;
  /** The next command to run. */
  readonly next?: string;
}
