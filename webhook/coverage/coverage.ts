import { SYSTEM_NAMESPACES } from "./webhook-configurations.ts";
import { INJECTION_DISABLED, INJECTION_LABEL, tierOf } from "./tier.ts";

/** Which namespaces the webhook is asked about. */
export interface Coverage {
  /** Every namespace that is not labelled otherwise, else only those that are labelled. */
  readonly allNamespaces: boolean;
  /** Namespaces besides Kubernetes' own that are never covered: that of the webhook itself. */
  readonly exemptNamespaces: readonly string[];
}

/** The same as the selectors of the MutatingWebhookConfiguration say. */
export function isCovered(
  { name, label }: { readonly name: string; readonly label: string | undefined },
  { allNamespaces, exemptNamespaces }: Coverage,
): boolean {
  if (SYSTEM_NAMESPACES.includes(name) || exemptNamespaces.includes(name)) return false;
  return allNamespaces ? label !== INJECTION_DISABLED : tierOf(label) !== undefined;
}

/** The label of a namespace that decides it. */
export function coverageLabelOf(
  labels: Readonly<Record<string, string>> | undefined,
): string | undefined {
  return labels?.[INJECTION_LABEL];
}
