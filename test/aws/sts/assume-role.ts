import { parseRoleArn } from "../../../lib/arn.ts";
import type { ConditionKeys } from "../policy/condition.ts";
import { isTrusted } from "../policy/trust-decision.ts";
import { AwsError } from "../protocol/aws-error.ts";
import type { QueryAction } from "../protocol/query-action.ts";
import { integer, optionalText, readParameters, text } from "../protocol/validation.ts";
import type { Account, Principal, Role, Store } from "../store.ts";
import { issueSession, packedPolicySize } from "./session.ts";

// Limits of the STS API reference, AssumeRole.
const FIELDS = {
  RoleArn: text({ min: 20, max: 2048 }),
  RoleSessionName: text({ min: 2, max: 64, pattern: "[\\w+=,.@-]*" }),
  DurationSeconds: integer({ min: 900, max: 43_200, fallback: 3600 }),
  ExternalId: optionalText({ min: 2, max: 1224, pattern: "[\\w+=,.@:\\/-]*" }),
};

/** A role that assumes a role gets an hour at most (IAM User Guide, "Role chaining"). */
const MAX_CHAINED_SECONDS = 3600;

/**
 * The action AssumeRole, as far as programs need it that nodes' credentials are given to: who signs
 * must be named by the role's trust policy. A trust policy that names an account lets in who may do
 * so by policies of that account: here its administrator, and never a session.
 */
export function assumeRole({ store }: { readonly store: Store }): QueryAction {
  return {
    access: "signed",
    run({ parameters, nowMs, facts }, { principal, account: own }) {
      const asked = readParameters(parameters, FIELDS);
      const roleArn = parseRoleArn(asked.RoleArn);
      if (roleArn === undefined) {
        throw new AwsError("ValidationError", 400, `${asked.RoleArn} is invalid`);
      }
      facts.accountId = roleArn.accountId;
      facts.role = asked.RoleArn;
      const role = store.accounts.get(roleArn.accountId)?.roles.get(roleArn.roleName.toLowerCase());
      const keys: (readonly [string, readonly string[]])[] = [
        ["sts:rolesessionname", [asked.RoleSessionName]],
        ["aws:principalarn", [principalArnOf(principal, own)]],
        ["aws:principalaccount", [principal.accountId]],
        ["aws:userid", [principal.userId]],
        ["aws:securetransport", ["true"]],
      ];
      if (asked.ExternalId !== undefined) keys.push(["sts:externalid", [asked.ExternalId]]);
      if (role?.arn !== asked.RoleArn || !lets(role, principal, own, new Map(keys))) {
        const message = `User: ${principal.arn} is not authorized to perform: sts:AssumeRole on resource: ${asked.RoleArn}`;
        throw new AwsError("AccessDenied", 403, message);
      }
      checkDuration(asked.DurationSeconds, role, principal);
      const issued = issueSession(store, {
        role,
        sessionName: asked.RoleSessionName,
        expiresAtMs: nowMs + asked.DurationSeconds * 1000,
        session: { policy: undefined, policyArns: [], tags: new Map(), sourceIdentity: undefined },
      });
      return {
        AssumedRoleUser: issued.assumedRoleUser,
        Credentials: issued.credentials,
        PackedPolicySize: packedPolicySize([]),
      };
    },
  };
}

function lets(role: Role, principal: Principal, own: Account, keys: ConditionKeys): boolean {
  const named = [principal.arn, principalArnOf(principal, own)];
  const isAdministrator = principal.kind === "administrator";
  // A session has no policy of its own, which another account's role would need too.
  if (!isAdministrator && !role.arn.includes(`:${principal.accountId}:`)) return false;
  const root = `arn:${own.partition}:iam::${own.id}:root`;
  const principals = isAdministrator ? [...named, root, own.id] : named;
  return isTrusted(role.trustPolicy, {
    federated: undefined,
    principals,
    actions: ["sts:AssumeRole"],
    keys,
  });
}

/** A session by its role, as trust policies name it. */
function principalArnOf({ kind, arn }: Principal, own: Account): string {
  if (kind === "administrator") return arn;
  const [, , , , , resource = ""] = arn.split(":");
  const role = own.roles.get((resource.split("/")[1] ?? "").toLowerCase());
  return role?.arn ?? arn;
}

function checkDuration(seconds: number, role: Role, { kind }: Principal): void {
  if (kind === "session" && seconds > MAX_CHAINED_SECONDS) {
    const message =
      "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
    throw new AwsError("ValidationError", 400, message);
  }
  if (seconds <= role.maxSessionSeconds) return;
  const message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
  throw new AwsError("ValidationError", 400, message);
}
