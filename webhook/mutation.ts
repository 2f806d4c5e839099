import { identityOf, type Identity, type IdentityDefaults } from "./identity.ts";
import { NO_ASSOCIATION, type Association } from "./identity-source.ts";
import { injectionOf, type AddOperation, type InjectionSettings } from "./patch.ts";
import type { Annotations, Pod } from "./pod.ts";
import { skippedContainers } from "./skip-containers.ts";

/** Everything that a mutation depends on beside the pod and its ServiceAccount. */
export interface MutationSettings extends IdentityDefaults, InjectionSettings {}

/** What is known of a pod's ServiceAccount: its annotations, or why there are none. */
export type ServiceAccountState =
  | { readonly status: "found"; readonly annotations: Annotations }
  | {
      readonly status:
        | "no-service-account"
        | "service-account-not-found"
        | "service-account-unavailable";
    };

/** Why a pod was changed or not, each with what it means. */
export const MUTATION_REASONS = {
  injected: "the identity was added",
  "all-containers-skipped": "the pod's annotation skips all containers",
  conflict: "a volume or a mount of the pod is in the way",
  "no-role-arn": "its ServiceAccount has no role",
  "no-service-account": "it names no ServiceAccount",
  "nothing-to-add": "everything is there already",
  "service-account-not-found": "its ServiceAccount does not exist",
  "service-account-unavailable": "its ServiceAccount could not be read",
} as const;
export type MutationReason = keyof typeof MUTATION_REASONS;

export interface Mutation {
  readonly reason: MutationReason;
  /** What the pod is to have, also when nothing had to be added; undefined when nobody asks for any. */
  readonly identity: Identity | undefined;
  /** The role that the pod names; undefined also with container credentials. */
  readonly roleArn: string | undefined;
  /** What to change; empty when nothing is. */
  readonly operations: readonly AddOperation[];
  /** What the user should correct, one sentence each. */
  readonly warnings: readonly string[];
}

/** Decides what to add to a pod: the one decision behind the webhook and the command line. */
export function mutationOf({
  pod,
  serviceAccount,
  association = NO_ASSOCIATION,
  settings,
  random = 0,
}: {
  readonly pod: Pod;
  readonly serviceAccount: ServiceAccountState;
  readonly association?: Association | undefined;
  readonly settings: MutationSettings;
  /** In [0, 1), for the jitter of container credentials. */
  readonly random?: number | undefined;
}): Mutation {
  const { status } = serviceAccount;
  const annotations = pod.metadata?.annotations ?? {};
  const { identity, warnings } = identityOf({
    serviceAccount: status === "found" ? serviceAccount.annotations : {},
    pod: annotations,
    association,
    defaults: settings,
    random,
  });
  if (identity === undefined) {
    if (status === "found") return unchanged("no-role-arn", warnings);
    // Kubernetes refuses a pod whose ServiceAccount is missing, so this one is hardly meant so.
    const isMistake = status === "service-account-not-found";
    const told = isMistake ? [`Pod gets no AWS identity: ${MUTATION_REASONS[status]}`] : [];
    return unchanged(status, told);
  }
  const { spec } = pod;
  const roleArn = identity.method === "web-identity" ? identity.roleArn : undefined;
  const skipped = skippedContainers(annotations, settings.annotationPrefix);
  const { operations, reachesContainer, conflicts } = injectionOf(pod, {
    identity,
    settings,
    isSelected: ({ name }) => !skipped.names.has(name ?? ""),
  });
  const told = {
    identity,
    roleArn,
    operations,
    warnings: [...warnings, ...skipped.warnings, ...conflicts],
  };
  if (reachesContainer) return { ...told, reason: "injected" };
  if (conflicts.length > 0) return { ...told, reason: "conflict" };
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const allSkipped =
    containers.length > 0 && containers.every(({ name }) => skipped.names.has(name ?? ""));
  return { ...told, reason: allSkipped ? "all-containers-skipped" : "nothing-to-add" };
}

function unchanged(reason: MutationReason, warnings: readonly string[]): Mutation {
  return { reason, identity: undefined, roleArn: undefined, operations: [], warnings };
}
