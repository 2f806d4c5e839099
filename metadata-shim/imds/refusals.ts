import type { CallerDecision } from "../caller/caller.ts";
import type { CredentialFailure } from "../credentials/credentials.ts";
import type { RoleDecision } from "../role/role-decision.ts";
import type { Answer, AnswerReason } from "./answer.ts";
import { metadataTime } from "./documents.ts";

/**
 * What a client is told that gets no credentials. The status says what an SDK does next: it asks
 * again after 503, and gives up after 403 and 404. The body is for humans. It is never 200, after
 * which AWS SDK for JavaScript v2 would wait for ever.
 */
interface Refusal {
  readonly status: 403 | 404 | 503;
  readonly reason: AnswerReason;
  /** For the client. */
  readonly code: string;
}

const CALLER_REFUSALS = {
  unknown: { status: 404, reason: "caller-unknown", code: "UnknownCaller" },
  ambiguous: { status: 503, reason: "caller-ambiguous", code: "AmbiguousCaller" },
  unavailable: { status: 503, reason: "caller-unavailable", code: "Unavailable" },
} as const;
const CALLER_MESSAGES = {
  unknown: "No pod of this node has this address",
  ambiguous: "More than one pod has this address",
  unavailable: "Which pod has this address is not known now",
} as const;

/** Refuses a caller that is not exactly one pod of this node. */
export function callerRefusal(
  decision: Exclude<CallerDecision, { status: "known" }>,
  nowMs: number,
): Answer {
  const { status } = decision;
  const detail =
    status === "ambiguous"
      ? decision.podNames.join(", ")
      : status === "unavailable"
        ? decision.reason
        : undefined;
  return render(CALLER_REFUSALS[status], { message: CALLER_MESSAGES[status], detail, nowMs });
}

const ROLE_REFUSALS = {
  none: { status: 404, reason: "no-role", code: "NoRole" },
  forbidden: { status: 403, reason: "role-forbidden", code: "Forbidden" },
  unavailable: { status: 503, reason: "role-unavailable", code: "Unavailable" },
} as const;

/** Refuses a pod that has no role, or may not have it. */
export function roleRefusal(
  decision: Exclude<RoleDecision, { status: "allowed" }>,
  nowMs: number,
): Answer {
  const detail = decision.status === "none" ? undefined : decision.reason;
  const message =
    decision.status === "none"
      ? "This pod has no role"
      : decision.status === "forbidden"
        ? decision.reason
        : "What this pod may have is not known now";
  return render(ROLE_REFUSALS[decision.status], { message, detail, nowMs });
}

/** Refuses credentials of another role than the pod's. */
export function otherRoleRefusal(status: 403 | 404, nowMs: number): Answer {
  const refusal = { status, reason: "other-role", code: "OtherRole" } as const;
  return render(refusal, { message: "This is not the role of this pod", nowMs });
}

const CREDENTIAL_REFUSALS = {
  // EC2's own code where the trust policy says no.
  refused: { status: 403, reason: "credentials-refused", code: "AssumeRoleUnauthorizedAccess" },
  // Not 429, after which Go's first SDK waits for up to 8 s.
  throttled: { status: 503, reason: "credentials-throttled", code: "AssumeRoleUnavailable" },
  unavailable: { status: 503, reason: "credentials-unavailable", code: "AssumeRoleUnavailable" },
  "token-missing": { status: 503, reason: "token-missing", code: "AssumeRoleUnavailable" },
} as const;

/** Says what STS said, or that it could not be asked. */
export function credentialRefusal(
  { kind, code, message: sentence, retryAfterMs }: CredentialFailure,
  nowMs: number,
): Answer {
  const message = `${code}: ${sentence}`;
  const answer = render(CREDENTIAL_REFUSALS[kind], { message, detail: message, nowMs });
  if (retryAfterMs === undefined) return answer;
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return { ...answer, headers: { "retry-after": String(seconds) } };
}

function render(
  { status, reason, code }: Refusal,
  {
    message,
    detail,
    nowMs,
  }: { readonly message: string; readonly detail?: string | undefined; readonly nowMs: number },
): Answer {
  const body = JSON.stringify({ Code: code, Message: message, LastUpdated: metadataTime(nowMs) });
  return { status, body, reason, detail };
}
