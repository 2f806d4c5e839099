import { parseRoleArn } from "../../lib/arn.ts";
import { sessionNameOf } from "../../lib/session-name.ts";
import type { AccountBudget } from "./account-budget.ts";
import type { AssumeByNode } from "./assume-by-node.ts";
import { failed, type CredentialRequest, type CredentialResult } from "./credentials.ts";
import type { PodTokenSource } from "./pod-token.ts";
import type { ExchangeToken } from "./sts-exchange.ts";
import { CONNECTION_CUT } from "./sts-failure.ts";

/** Gets new credentials: the pod's token, exchanged for its role. Never rejects. */
export type IssueCredentials = (request: CredentialRequest) => Promise<CredentialResult>;

export interface IssueDeps {
  readonly tokenOf: PodTokenSource;
  readonly exchange: ExchangeToken;
  /**
   * What stands in for a role of kube2iam or kiam where STS denies web identity, or where the pod has
   * no token for it; nothing without it.
   */
  readonly assumeByNode?: AssumeByNode | undefined;
  readonly budget: AccountBudget;
  /** Life of the credentials, in seconds: 900 to what the role allows, which is 3600 or more. */
  readonly durationSeconds: number;
}

export function createIssue(deps: IssueDeps): IssueCredentials {
  return async (request) => {
    const { roleArn } = request.role;
    const accountId = parseRoleArn(roleArn)?.accountId;
    if (accountId === undefined) {
      const message = `${JSON.stringify(roleArn.slice(0, 200))} is no ARN of a role`;
      return failed({ kind: "refused", code: "InvalidRoleArn", message });
    }
    const found = await deps.tokenOf(request);
    const { legacy: isLegacy = false } = request.role;
    if (found.status !== "found") {
      const kind = found.status === "missing" ? "token-missing" : "unavailable";
      const denial = failed({ kind, code: "NoPodToken", message: found.message });
      // A token of another pod or account says that this may not be who it seems.
      const mayStandIn = isLegacy && found.status === "missing" && found.isDisputed !== true;
      return mayStandIn ? byNode(deps, request, { accountId, denial }) : denial;
    }
    const waitMs = deps.budget.take(accountId);
    if (waitMs > 0) return overBudget(accountId, waitMs);
    const result = await exchangeToken(deps, request, { accountId, token: found.token });
    return isLegacy && isDenied(result)
      ? byNode(deps, request, { accountId, denial: result })
      : result;
  };
}

async function exchangeToken(
  { exchange, budget, durationSeconds }: IssueDeps,
  request: CredentialRequest,
  { accountId, token }: { readonly accountId: string; readonly token: string },
): Promise<CredentialResult> {
  const { roleArn } = request.role;
  const call = { roleArn, sessionName: sessionNameFor(request), token, durationSeconds };
  const first = await exchange(call);
  // A connection that was kept dies when the other side closes it, which says nothing about STS.
  const isAgain = isCut(first) && budget.take(accountId) === 0;
  const result = isAgain ? await exchange(call) : first;
  return accounted(result, budget, accountId);
}

function accounted(
  result: CredentialResult,
  budget: AccountBudget,
  accountId: string,
): CredentialResult {
  if (result.status === "failed" && result.kind === "throttled") budget.throttled(accountId);
  if (result.status === "good" || result.kind === "refused") budget.answered(accountId);
  return result;
}

function sessionNameFor({ caller, role }: CredentialRequest): string {
  return sessionNameOf(role.sessionName || `${caller.namespace}.${caller.podName}`);
}

type Failed = Extract<CredentialResult, { status: "failed" }>;

/** STS knows the token and the role, and the role's trust policy says no. */
function isDenied(result: CredentialResult): result is Failed {
  return result.status === "failed" && result.kind === "refused" && result.code === "AccessDenied";
}

async function byNode(
  { assumeByNode, budget, durationSeconds }: IssueDeps,
  request: CredentialRequest,
  { accountId, denial }: { readonly accountId: string; readonly denial: Failed },
): Promise<CredentialResult> {
  if (assumeByNode === undefined) return denial;
  const waitMs = budget.take(accountId);
  if (waitMs > 0) return overBudget(accountId, waitMs);
  const { roleArn, externalId } = request.role;
  const sessionName = sessionNameFor(request);
  const result = await assumeByNode({ roleArn, sessionName, externalId, durationSeconds });
  accounted(result, budget, accountId);
  if (result.status === "good") return result;
  // What has to be changed, the trust policy or the pod, is said first.
  return { ...result, message: `${denial.message}; nor by the node: ${result.message}` };
}

function isCut(result: CredentialResult): boolean {
  return result.status === "failed" && result.code === CONNECTION_CUT;
}

function overBudget(accountId: string, retryAfterMs: number): CredentialResult {
  const message = `This node asks STS no more often for account ${accountId} just now`;
  return failed({ kind: "throttled", code: "NodeBudget", message, retryAfterMs });
}
