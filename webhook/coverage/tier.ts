/**
 * How much a namespace relies on the webhook, by its label {@link INJECTION_LABEL}.
 *
 * - `enabled`: pods get their identity; one that cannot get it starts without, and the client is
 *   warned.
 * - `required`: a pod that should have an identity and cannot get it is refused, with the reason.
 */
export type Tier = "enabled" | "required";

/** Label of namespaces; its value is the tier, or `disabled`. */
export const INJECTION_LABEL = "irsa-anywhere.io/injection";

/** Value of {@link INJECTION_LABEL} on a pod, or on a namespace where all are covered, to be left alone. */
export const INJECTION_DISABLED = "disabled";

/** AWS's label on a pod, whatever its value, that keeps its webhook and this one away. */
export const AWS_SKIP_LABEL = "eks.amazonaws.com/skip-pod-identity-webhook";

/** The path that the API server calls for the pods of a tier; a server has no other way to know it. */
export const MUTATE_PATHS = {
  enabled: "/mutate",
  required: "/mutate/required",
} as const satisfies Readonly<Record<Tier, string>>;

/** The path that the API server calls for ServiceAccounts and Namespaces. */
export const VALIDATE_PATH = "/validate";

/** The path that the API server calls for tokens that the metadata shim asks for. */
export const TOKEN_REQUEST_PATH = "/validate/token-requests";

/** The tier that a namespace's label asks for; undefined for any other value and for none. */
export function tierOf(label: string | null | undefined): Tier | undefined {
  return label === "enabled" || label === "required" ? label : undefined;
}
