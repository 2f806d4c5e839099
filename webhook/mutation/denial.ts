import { POLICY_KEYS, type NamespacePolicy } from "../../lib/namespace-policy.ts";
import { serviceAccountNameOf, type Pod } from "../pod/pod.ts";
import { quoted, shownRole } from "../../lib/quoted.ts";
import { INJECTION_LABEL } from "../coverage/tier.ts";

/** What a developer reads whose pod is refused: why it is refused at all, and what is wrong. */
export function denialOf(problem: string): string {
  return `Pod refused, since its namespace has ${INJECTION_LABEL}=required: ${problem}`;
}

/** What to do when nothing is known of the ServiceAccount, the namespace or the configuration. */
export function unknownProblem(
  status:
    | "service-account-not-found"
    | "service-account-unavailable"
    | "namespace-unavailable"
    | "configuration-unavailable",
  pod: Pod,
): string {
  const namespace = pod.metadata?.namespace;
  const name = serviceAccountNameOf(pod) ?? "";
  const account = `ServiceAccount ${quoted(namespace ? `${namespace}/${name}` : name)}`;
  if (status === "service-account-not-found") {
    return `${account} does not exist: create it, or name another in spec.serviceAccountName`;
  }
  const unread = {
    "service-account-unavailable": account,
    "namespace-unavailable": "its namespace",
    "configuration-unavailable": "the webhook's configuration",
  }[status];
  return `${unread} could not be read: try again; the log of the webhook says why`;
}

/** As many globs as a sentence bears, and as long a one. */
const SHOWN_ROLES = 3;
const MAX_SHOWN_LENGTH = 128;

/** What to do about a role that the policy of the namespace does not allow. */
export function notAllowedProblem(roleArn: string, { allowedRoles = [] }: NamespacePolicy): string {
  const rule = `role ${shownRole(roleArn)} is not in the namespace's ${POLICY_KEYS.allowedRoles}`;
  if (allowedRoles.length === 0) return `${rule}, which allows none: have it added there`;
  const shown = allowedRoles.slice(0, SHOWN_ROLES).filter(isShort).join(", ");
  if (shown === "") return `${rule}: have it added there`;
  const more = allowedRoles.length > SHOWN_ROLES ? ", ..." : "";
  return `${rule}: use one of ${shown}${more}, or have it added there`;
}

function isShort(glob: string): boolean {
  return glob.length <= MAX_SHOWN_LENGTH;
}
