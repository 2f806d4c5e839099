import type { CallerDecision } from "../caller/caller.ts";
import type { CredentialFailure } from "../credentials/credentials.ts";
import { PROFILE_ANSWERS, type RefusalFacts, type RefusalReason } from "../role/profile-answers.ts";
import type { Profile } from "../role/profile.ts";
import type { RoleDecision } from "../role/role-decision.ts";
import type { Answer, AnswerReason } from "./answer.ts";

// What a client is told that gets no credentials. The status says what an SDK does next: it asks
// again after 503, and gives up after 403 and 404. It is never 200 with an error in the body, after
// which AWS SDK for JavaScript v2 would wait for ever.

/** Who asks, and for what. */
export interface RefusedRequest extends Pick<RefusalFacts, "asked" | "address" | "requestedName"> {
  readonly profile: Profile;
}

/** Refuses a caller that is not exactly one pod of this node. */
export function callerRefusal(
  decision: Exclude<CallerDecision, { status: "known" }>,
  request: RefusedRequest,
): Answer {
  if (decision.status === "unavailable") {
    const body = "Which pod has this address is not known now";
    return { status: 503, body, reason: "caller-unavailable", detail: decision.reason };
  }
  if (decision.status === "unknown") return inProfile("caller-unknown", request);
  const podNames = decision.pods.map(({ namespace, name }) => `${namespace}/${name}`).toSorted();
  const detail = podNames.join(", ");
  return { ...inProfile("caller-ambiguous", { ...request, podNames }), detail };
}

/** Refuses a pod that has no role, or may not have it. */
export function roleRefusal(
  decision: Exclude<RoleDecision, { status: "allowed" }>,
  request: RefusedRequest,
): Answer {
  if (decision.status === "none") return inProfile("no-role", request);
  const { reason: detail } = decision;
  if (decision.status === "forbidden") {
    return { ...inProfile("role-forbidden", { ...request, denial: detail }), detail };
  }
  const body = "What this pod may have is not known now";
  return { status: 503, body, reason: "role-unavailable", detail };
}

/** Refuses credentials of another role than the pod's. */
export function otherRoleRefusal(request: RefusedRequest): Answer {
  return inProfile("other-role", request);
}

const CREDENTIAL_REFUSALS = {
  refused: { status: 403, reason: "credentials-refused" },
  // Not 429, after which Go's first SDK waits for up to 8 s.
  throttled: { status: 503, reason: "credentials-throttled" },
  unavailable: { status: 503, reason: "credentials-unavailable" },
  "token-missing": { status: 503, reason: "token-missing" },
} as const satisfies Record<
  CredentialFailure["kind"],
  { readonly status: number; readonly reason: AnswerReason }
>;

/** Says what STS said, or that it could not be asked. */
export function credentialRefusal({
  kind,
  code,
  message,
  retryAfterMs,
}: CredentialFailure): Answer {
  const body = `${code}: ${message}`;
  const answer = { ...CREDENTIAL_REFUSALS[kind], body, detail: body };
  if (retryAfterMs === undefined) return answer;
  const seconds = Math.max(1, Math.ceil(retryAfterMs / 1000));
  return { ...answer, headers: { "retry-after": String(seconds) } };
}

function inProfile(
  reason: RefusalReason,
  { profile, ...facts }: RefusedRequest & RefusalFacts,
): Answer {
  return { ...PROFILE_ANSWERS[profile][reason](facts), reason };
}
