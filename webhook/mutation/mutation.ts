import type { AddOperation } from "./add-operation.ts";
import { containerSelection } from "../pod/container-selection.ts";
import { denialOf, notAllowedProblem, unknownProblem } from "./denial.ts";
import {
  identityOf,
  plainTokenOf,
  type Identity,
  type IdentityDefaults,
} from "../identity/identity.ts";
import { NO_ASSOCIATION, UNREAD_ENTRY, type Association } from "../identity/identity-source.ts";
import { allowsRole, type NamespacePolicy } from "../../lib/namespace-policy.ts";
import { injectionOf, type InjectionSettings } from "./patch.ts";
import type { Annotations, Container, Pod } from "../pod/pod.ts";
import type { Tier } from "../coverage/tier.ts";
import { shimTokenOf } from "./shim-token.ts";
import { deliveryOf } from "./token-delivery.ts";

/** Everything that a mutation depends on beside the pod and its ServiceAccount. */
export interface MutationSettings extends IdentityDefaults, InjectionSettings {
  /**
   * Annotation of pods that get a token for the metadata shim, and nothing else, where nobody gives
   * them an identity; empty for none.
   */
  readonly shimAnnotation: string;
}

/** What is known of a pod's ServiceAccount and namespace: its annotations, or why nothing is. */
export type ServiceAccountState =
  | { readonly status: "found"; readonly annotations: Annotations }
  | {
      readonly status:
        | "no-service-account"
        | "service-account-not-found"
        | "service-account-unavailable"
        | "namespace-unavailable";
    };

/** Why a pod was changed or not, each with what it means. */
export const MUTATION_REASONS = {
  injected: "the identity was added",
  "all-containers-skipped": "the pod's annotations leave no container",
  "configuration-unavailable": "the webhook's configuration could not be read",
  conflict: "a volume or a mount of the pod is in the way",
  "namespace-unavailable": "its namespace could not be read",
  "no-role-arn": "its ServiceAccount has no role",
  "no-service-account": "it names no ServiceAccount",
  "no-token-volume": "the pod was created without a token, and its volumes cannot change",
  "nothing-to-add": "everything is there already",
  "role-malformed": "its role is no ARN of a role",
  "role-not-allowed": "the policy of its namespace does not allow the role",
  "service-account-not-found": "its ServiceAccount does not exist",
  "service-account-unavailable": "its ServiceAccount could not be read",
  "token-added": "the token for the metadata shim was added",
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
  /** Why the pod is refused: what is wrong, where, and what to write instead. */
  readonly denial?: string | undefined;
}

export interface MutationInputs {
  readonly pod: Pod;
  readonly serviceAccount: ServiceAccountState;
  readonly association?: Association | undefined;
  readonly settings: MutationSettings;
  /** `enabled` when absent. */
  readonly tier?: Tier | undefined;
  /** What the namespace says; nothing when absent. */
  readonly policy?: NamespacePolicy | undefined;
  /**
   * Names of the new ephemeral containers of a pod that runs, when it is about these alone. Whoever
   * debugs a pod is never refused.
   */
  readonly ephemeralContainers?: ReadonlySet<string> | undefined;
  /** In [0, 1), for the jitter of container credentials. */
  readonly random?: number | undefined;
}

/**
 * Decides what to add to a pod: the one decision behind the webhook and the command line.
 *
 * A pod that should have an identity and cannot get it, or not in every container, is refused in the
 * tier `required`; in `enabled` it gets what is possible, with warnings. A role that the namespace's
 * policy does not allow is never injected.
 */
export function mutationOf(inputs: MutationInputs): Mutation {
  const { pod, serviceAccount } = inputs;
  const tier = tierFor(inputs);
  const { status } = serviceAccount;
  const isUnknown = status !== "found" && status !== "no-service-account";
  if (isUnknown && (tier === "required" || status === "namespace-unavailable")) {
    const mutation = unchanged(status, [`Pod gets no AWS identity: ${MUTATION_REASONS[status]}`]);
    return tier === "required" ? denied(mutation, unknownProblem(status, pod)) : mutation;
  }
  const { mutation, problem } = decide(inputs);
  return tier === "required" && problem !== undefined ? denied(mutation, problem) : mutation;
}

interface Decision {
  readonly mutation: Mutation;
  /** Why a container that should have the identity does not get it, and what to do. */
  readonly problem?: string;
}

function decide(inputs: MutationInputs): Decision {
  const { pod, serviceAccount, association = NO_ASSOCIATION } = inputs;
  const { policy = {}, ephemeralContainers, random = 0 } = inputs;
  const tier = tierFor(inputs);
  const settings = settingsIn(inputs);
  const { status } = serviceAccount;
  const annotations = pod.metadata?.annotations ?? {};
  const { identity, roleProblem, warnings } = identityOf({
    serviceAccount: status === "found" ? serviceAccount.annotations : {},
    pod: annotations,
    association,
    defaults: settings,
    random,
  });
  if (tier === "required" && roleProblem !== undefined) {
    return { mutation: unchanged("role-malformed", warnings), problem: roleProblem };
  }
  const isLast = identity === undefined || identity.source === "namespace";
  if (isLast && association.configMap === UNREAD_ENTRY && status !== "no-service-account") {
    const reason = "configuration-unavailable";
    const told = [...warnings, `Pod gets no AWS identity: ${MUTATION_REASONS[reason]}`];
    return { mutation: unchanged(reason, told), problem: unknownProblem(reason, pod) };
  }
  if (identity === undefined) {
    if (status === "found") {
      return { mutation: withShimToken(inputs, serviceAccount.annotations, warnings) };
    }
    const told =
      status === "no-service-account"
        ? []
        : [`Pod gets no AWS identity: ${MUTATION_REASONS[status]}`];
    return { mutation: unchanged(status, told) };
  }
  const { spec } = pod;
  const roleArn = identity.method === "web-identity" ? identity.roleArn : undefined;
  if (roleArn !== undefined && !allowsRole(policy, roleArn)) {
    const problem = notAllowedProblem(roleArn, policy);
    const told = [...warnings, `Pod gets no AWS identity: ${problem}`];
    return { mutation: { ...unchanged("role-not-allowed", told), identity, roleArn }, problem };
  }
  const given = { identity, roleArn };
  const { volumeName } = deliveryOf(identity, settings);
  const hasVolume = spec?.volumes?.some(({ name }) => name === volumeName) === true;
  const isRunning = ephemeralContainers !== undefined;
  const selection = containerSelection(annotations, settings.annotationPrefix);
  const isSelected = (container: Container): boolean =>
    selection.isSelected(container) && ephemeralContainers?.has(container.name ?? "") !== false;
  const containers: readonly Container[] = isRunning
    ? (spec?.ephemeralContainers ?? []).filter(({ name }) => ephemeralContainers.has(name ?? ""))
    : [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])];
  if (containers.length > 0 && !containers.some(isSelected)) {
    const told = [...warnings, ...selection.warnings];
    return { mutation: { ...unchanged("all-containers-skipped", told), ...given } };
  }
  if (isRunning && containers.length > 0 && !hasVolume) {
    const told = [...warnings, `Pod gets no AWS identity: ${MUTATION_REASONS["no-token-volume"]}`];
    return { mutation: { ...unchanged("no-token-volume", told), ...given } };
  }
  const injection = injectionOf(pod, { identity, settings, isSelected, isRunning });
  const { operations, reachesContainer, conflicts } = injection;
  const told = {
    ...given,
    operations,
    warnings: [...warnings, ...selection.warnings, ...conflicts, ...injection.warnings],
  };
  if (conflicts.length > 0) {
    const skipKey = `${settings.annotationPrefix}/skip-containers`;
    const advice = `rename or remove it, or name the container in the annotation ${skipKey}`;
    const reason = tier === "enabled" && reachesContainer ? "injected" : "conflict";
    return { mutation: { ...told, reason }, problem: `${conflicts.join("; ")}: ${advice}` };
  }
  return { mutation: { ...told, reason: reachesContainer ? "injected" : "nothing-to-add" } };
}

/** A pod of whose role the webhook knows nothing gets what the metadata shim needs, where it asks. */
function withShimToken(
  inputs: MutationInputs,
  serviceAccount: Annotations,
  warnings: readonly string[],
): Mutation {
  const { pod, ephemeralContainers } = inputs;
  const settings = settingsIn(inputs);
  const { shimAnnotation, annotationPrefix } = settings;
  const annotations = pod.metadata?.annotations ?? {};
  const isAsked = shimAnnotation !== "" && Boolean(annotations[shimAnnotation]);
  const none = unchanged("no-role-arn", warnings);
  if (!isAsked || ephemeralContainers !== undefined) return none;
  const token = plainTokenOf({ serviceAccount, pod: annotations, defaults: settings });
  const selection = containerSelection(annotations, annotationPrefix);
  const { operations, conflict } = shimTokenOf(pod, {
    volume: { ...token, mountPath: settings.tokenMountPath },
    isSelected: selection.isSelected,
  });
  const told = [...warnings, ...token.warnings, ...selection.warnings];
  if (conflict !== undefined) {
    return { ...none, reason: "conflict", warnings: [...told, conflict] };
  }
  const reason = operations.length > 0 ? "token-added" : "nothing-to-add";
  return { ...none, reason, operations, warnings: told };
}

function tierFor({ tier = "enabled", ephemeralContainers }: MutationInputs): Tier {
  return ephemeralContainers === undefined ? tier : "enabled";
}

/** The settings as they hold in a namespace with this policy and tier. */
function settingsIn({ policy = {}, settings, tier }: MutationInputs): MutationSettings {
  return {
    ...settings,
    region: policy.defaultRegion ?? settings.region,
    audience: policy.defaultAudience ?? settings.audience,
    defaultRole: policy.defaultRoleArn,
    // Where an identity is required, falling back to the node's would defeat it.
    disableEc2Metadata: settings.disableEc2Metadata || tier === "required",
  };
}

function unchanged(reason: MutationReason, warnings: readonly string[]): Mutation {
  return { reason, identity: undefined, roleArn: undefined, operations: [], warnings };
}

/** The same decision, but the pod is refused; the sentence takes the place of the warnings. */
function denied(mutation: Mutation, problem: string): Mutation {
  return { ...mutation, operations: [], warnings: [], denial: denialOf(problem) };
}
