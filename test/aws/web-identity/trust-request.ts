import type { ConditionKeys } from "../policy/condition.ts";
import type { TrustRequest } from "../policy/trust-decision.ts";
import type { Claims } from "./json-web-token.ts";
import type { SessionClaims } from "./session-claims.ts";

/**
 * What a role's trust policy is asked for a verified token: the actions it must allow, and the
 * condition keys as STS sets them. `aws:PrincipalArn` is absent, and claims of one's own
 * (`kubernetes.io`) are no keys.
 */
export function trustRequestOf(facts: {
  readonly provider: { readonly arn: string; readonly url: string };
  readonly accountId: string;
  readonly roleSessionName: string;
  readonly subject: string;
  readonly audience: string;
  readonly audiences: readonly string[];
  readonly claims: Claims;
  readonly session: SessionClaims;
}): TrustRequest {
  const { provider, session, claims } = facts;
  const entries: (readonly [string, readonly string[]])[] = [
    [`${provider.url}:aud`, [facts.audience]],
    [`${provider.url}:oaud`, facts.audiences],
    [`${provider.url}:sub`, [facts.subject]],
    [`${provider.url}:amr`, textsOf(claims.get("amr"))],
    [`${provider.url}:email`, textsOf(claims.get("email"))],
    ["sts:RoleSessionName", [facts.roleSessionName]],
    ["sts:SourceIdentity", textsOf(session.sourceIdentity)],
    ["sts:RoleAuthorizedByIdp", session.isRoleAuthorized ? ["true"] : []],
    ["sts:TransitiveTagKeys", session.transitiveTagKeys],
    ["aws:TagKeys", [...session.tags.keys()]],
    ["aws:userid", [provider.arn]],
    ["aws:PrincipalType", ["User"]],
    ["aws:PrincipalAccount", [facts.accountId]],
    ["aws:SecureTransport", ["true"]],
    ...[...session.tags].map(([key, value]) => [`aws:RequestTag/${key}`, [value]] as const),
  ];
  const keys: ConditionKeys = new Map(
    entries
      .filter(([, values]) => values.length > 0)
      .map(([key, values]) => [key.toLowerCase(), values]),
  );
  return {
    federated: provider.arn,
    actions: [
      "sts:AssumeRoleWithWebIdentity",
      ...(session.tags.size > 0 ? ["sts:TagSession"] : []),
      ...(session.sourceIdentity === undefined ? [] : ["sts:SetSourceIdentity"]),
    ],
    keys,
  };
}

function textsOf(claim: unknown): readonly string[] {
  const items: readonly unknown[] = Array.isArray(claim) ? claim : [claim];
  return items.filter((item) => typeof item === "string");
}
