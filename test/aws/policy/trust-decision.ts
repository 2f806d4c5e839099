import { isSatisfied, wildcard, type ConditionKeys } from "./condition.ts";
import type { Statement, TrustPolicy } from "./trust-policy.ts";

/** What a trust policy is asked. */
export interface TrustRequest {
  /** ARN of the provider that vouches for the caller; undefined for one that has signed. */
  readonly federated: string | undefined;
  /** By what an `AWS` principal names a caller that has signed. */
  readonly principals?: readonly string[];
  /** All of these must be allowed. */
  readonly actions: readonly string[];
  readonly keys: ConditionKeys;
}

/**
 * Whether a trust policy lets a caller in (IAM User Guide, "Policy
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
  return (
    isForCaller(statement, request) &&
    statement.actions.some((pattern) => wildcard(pattern, "isu").test(action)) &&
    isSatisfied(statement.condition, request.keys)
  );
}

function isForCaller(
  { effect, federated, aws, isForEverybody }: Statement,
  request: TrustRequest,
): boolean {
  if (request.federated === undefined) {
    return isForEverybody || aws.some((name) => request.principals?.includes(name) === true);
  }
  return federated.includes(request.federated) || (effect === "Deny" && isForEverybody);
}
