import { isSatisfied, wildcard, type ConditionKeys } from "./condition.ts";
import type { Statement, TrustPolicy } from "./trust-policy.ts";

/** What a trust policy is asked. */
export interface TrustRequest {
  /** ARN of the provider that vouches for the caller. */
  readonly federated: string;
  /** All of these must be allowed. */
  readonly actions: readonly string[];
  readonly keys: ConditionKeys;
}

/**
 * Whether a trust policy lets a caller from an identity provider in (IAM User Guide, "Policy
 * evaluation logic"): each action needs an Allow, and any Deny wins.
 */
export function isTrusted({ statements }: TrustPolicy, request: TrustRequest): boolean {
  return request.actions.every((action) => {
    const applying = statements.filter((statement) => applies(statement, action, request));
    return (
      applying.some(({ effect }) => effect === "Allow") &&
      applying.every(({ effect }) => effect === "Allow")
    );
  });
}

function applies(statement: Statement, action: string, request: TrustRequest): boolean {
  const isForCaller =
    statement.federated.includes(request.federated) ||
    (statement.effect === "Deny" && statement.isForEverybody);
  return (
    isForCaller &&
    statement.actions.some((pattern) => wildcard(pattern, "isu").test(action)) &&
    isSatisfied(statement.condition, request.keys)
  );
}
