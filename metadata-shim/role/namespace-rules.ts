import {
  allowsRole,
  parseNamespacePolicy,
  POLICY_KEYS,
  type NamespacePolicy,
} from "../../lib/namespace-policy.ts";
import { HTTP_TOKENS_KEY, httpTokensOf, type HttpTokens } from "../caller/caller.ts";
import { allowedRolesRule, PERMITTED_KEY, permittedRule, type RoleRule } from "./legacy-rules.ts";
import { resolveRole } from "./role-name.ts";
import type { RoleSettings } from "./role-settings.ts";

/** All that is kept of a namespace: its annotations, read once. */
export interface NamespaceRules {
  readonly policy: NamespacePolicy;
  readonly httpTokens: HttpTokens | undefined;
  /** Why its pods may not have a role; undefined when they may. */
  readonly denialOf: RoleRule;
}

/**
 * Reads what a namespace says. Its own policy (`irsa-anywhere.io/allowed-roles`) holds in every
 * profile; beside it kube2iam's rules where they are asked for, and kiam's in kiam's profile always.
 * All that are in force must allow a role, wherever the role is named.
 */
export function namespaceRulesOf(
  annotations: Readonly<Record<string, string>>,
  settings: RoleSettings,
): NamespaceRules {
  const { policy } = parseNamespacePolicy(annotations);
  const legacy = legacyRuleOf(annotations, settings);
  return {
    policy,
    httpTokens: httpTokensOf(annotations[HTTP_TOKENS_KEY]),
    denialOf: (roleArn) => {
      if (!allowsRole(policy, roleArn)) {
        return `role ${roleArn} is not in the namespace's ${POLICY_KEYS.allowedRoles}`;
      }
      return legacy(roleArn);
    },
  };
}

function legacyRuleOf(
  annotations: Readonly<Record<string, string>>,
  { profile, allowedRoles, baseRoleArn, defaultRole, isPermittedUnanchored }: RoleSettings,
): RoleRule {
  if (profile === "kiam") return permittedRule(annotations[PERMITTED_KEY], isPermittedUnanchored);
  if (profile === "strict" || allowedRoles === undefined) return () => undefined;
  const fallback = resolveRole(defaultRole, baseRoleArn);
  const defaultRoleArn = defaultRole !== "" && "roleArn" in fallback ? fallback.roleArn : undefined;
  const rule = { ...allowedRoles, baseRoleArn, defaultRoleArn };
  return allowedRolesRule(annotations[allowedRoles.key], rule);
}
