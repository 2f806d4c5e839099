import { identityOf, type IdentityDefaults } from "./identity.ts";
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
  /** The role that the pod's ServiceAccount asks for, also when nothing had to be added. */
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
  settings,
}: {
  readonly pod: Pod;
  readonly serviceAccount: ServiceAccountState;
  readonly settings: MutationSettings;
}): Mutation {
  const { status } = serviceAccount;
  if (status === "found") return mutationFor(pod, serviceAccount.annotations, settings);
  // Kubernetes refuses a pod whose ServiceAccount is missing, so this one is hardly meant so.
  const isMistake = status === "service-account-not-found";
  return unchanged(
    status,
    isMistake ? [`Pod gets no AWS identity: ${MUTATION_REASONS[status]}`] : [],
  );
}

function mutationFor(
  { metadata, spec }: Pod,
  serviceAccount: Annotations,
  settings: MutationSettings,
): Mutation {
  const pod = metadata?.annotations ?? {};
  const { identity, warnings } = identityOf({ serviceAccount, pod, defaults: settings });
  if (identity === undefined) return unchanged("no-role-arn", warnings);

  const { roleArn } = identity;
  const skipped = skippedContainers(pod, settings.annotationPrefix);
  const { operations, reachesContainer, conflicts } = injectionOf(spec ?? {}, {
    identity,
    settings,
    skipped: skipped.names,
  });
  const told = { roleArn, operations, warnings: [...warnings, ...skipped.warnings, ...conflicts] };
  if (reachesContainer) return { ...told, reason: "injected" };
  if (conflicts.length > 0) return { ...told, reason: "conflict" };
  const containers = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  const allSkipped =
    containers.length > 0 && containers.every(({ name }) => skipped.names.has(name ?? ""));
  return { ...told, reason: allSkipped ? "all-containers-skipped" : "nothing-to-add" };
}

function unchanged(reason: MutationReason, warnings: readonly string[]): Mutation {
  return { reason, roleArn: undefined, operations: [], warnings };
}
