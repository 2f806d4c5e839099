import { parseRoleArn } from "../../lib/arn.ts";
import { quoted } from "../../lib/quoted.ts";
import type { Caller } from "../caller/caller.ts";
import { legacySessionName } from "./legacy-session-name.ts";
import type { NamespaceRules } from "./namespace-rules.ts";
import { PROFILE_TRAITS } from "./profile.ts";
import type { RoleDecision } from "./role-decision.ts";
import { namesOf, resolveRole, type ResolvedRole } from "./role-name.ts";
import type { RoleSettings } from "./role-settings.ts";

/** All that is kept of a ServiceAccount. */
export interface KnownServiceAccount {
  readonly uid: string;
  /** Those under the prefix of ours only. */
  readonly annotations: Readonly<Record<string, string>>;
}

/** Nobody may say what a ServiceAccount says, nor whether it is there. */
export interface UnreadServiceAccount {
  readonly unreadBecause: string;
}

/**
 * Decides which role a pod gets. The first of these that names one:
 *
 * 1. the pod's annotation, in the profiles of kube2iam and kiam
 * 2. the ServiceAccount's `role-arn`
 * 3. the namespace's `default-role`
 * 4. `--default-role`
 *
 * It must be a role, and all rules of the namespace that are in force must allow it. The audience is
 * the ServiceAccount's, else the namespace's, else the one of the settings.
 *
 * Where the ServiceAccount may not be read, the pod's annotation still says which role, as it comes
 * first; the defaults do not, as the ServiceAccount may name another. Its audience and UID are not
 * known then.
 *
 * @param inputs.serviceAccount Undefined when there is none of that name.
 */
export function decideRole({
  caller,
  serviceAccount,
  namespace,
  settings,
}: {
  readonly caller: Caller;
  readonly serviceAccount: KnownServiceAccount | UnreadServiceAccount | undefined;
  readonly namespace: NamespaceRules;
  readonly settings: RoleSettings;
}): RoleDecision {
  // Without one there is no token to show to STS.
  if (serviceAccount === undefined) return { status: "none" };
  const { annotationPrefix: prefix, baseRoleArn, podKeys } = settings;
  const isUnread = "unreadBecause" in serviceAccount;
  const annotations = isUnread ? {} : serviceAccount.annotations;
  const named = namedRole(caller, { annotations, namespace, settings });
  if (isUnread && named?.annotation === undefined) {
    return { status: "unavailable", reason: serviceAccount.unreadBecause };
  }
  if (named === undefined) return { status: "none" };
  if ("problem" in named.role) return { status: "forbidden", reason: named.role.problem };
  const { roleArn } = named.role;
  const denial = namespace.denialOf(roleArn);
  if (denial !== undefined) return { status: "forbidden", reason: denial };

  const isLegacy = PROFILE_TRAITS[settings.profile].readsPodAnnotations;
  const externalId = isLegacy ? caller.podAnnotations[podKeys.externalId] : undefined;
  return {
    status: "allowed",
    roleArn,
    ...namesOf(settings.profile, { roleArn, annotation: named.annotation, baseRoleArn }),
    audience:
      annotations[`${prefix}/audience`] || namespace.policy.defaultAudience || settings.audience,
    serviceAccountUid: isUnread ? undefined : serviceAccount.uid,
    // An empty one is none, as in kube2iam.
    externalId: externalId || undefined,
    sessionName: legacySessionName(caller, roleArn, settings),
    legacy: named.isLegacy,
  };
}

function namedRole(
  { podAnnotations }: Caller,
  {
    annotations,
    namespace,
    settings,
  }: {
    readonly annotations: Readonly<Record<string, string>>;
    readonly namespace: NamespaceRules;
    readonly settings: RoleSettings;
  },
):
  | { readonly role: ResolvedRole; readonly annotation?: string; readonly isLegacy: boolean }
  | undefined {
  const { profile, annotationPrefix, podKeys, baseRoleArn, defaultRole } = settings;
  const annotation = podAnnotations[podKeys.role];
  const isLegacy = PROFILE_TRAITS[profile].readsPodAnnotations;
  if (isLegacy && annotation) {
    return { role: resolveRole(annotation, baseRoleArn), annotation, isLegacy };
  }
  const own = annotations[`${annotationPrefix}/role-arn`] || namespace.policy.defaultRoleArn;
  if (own) return { role: arnOf(own), isLegacy: false };
  return defaultRole === "" ? undefined : { role: resolveRole(defaultRole, baseRoleArn), isLegacy };
}

/** Ours are ARNs always: a base is for the names of the programs that came before. */
function arnOf(text: string): ResolvedRole {
  if (parseRoleArn(text) !== undefined) return { roleArn: text };
  return { problem: `role ${quoted(text)} is no role ARN: write arn:aws:iam::ACCOUNT:role/NAME` };
}
