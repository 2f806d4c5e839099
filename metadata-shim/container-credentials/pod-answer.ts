import { randomUUID } from "node:crypto";
import { onceFor } from "../../lib/once-for.ts";
import { whenThere, type Soon } from "../../lib/soon.ts";
import type { Caller } from "../caller/caller.ts";
import type { CredentialRole, Credentials, ObtainCredentials } from "../credentials/credentials.ts";
import type { AllowedRole, DecideRole, RoleDecision } from "../role/role-decision.ts";
import { credentialsAnswer, ERROR_BY_FAILURE, serviceError, type AgentAnswer } from "./answers.ts";
import type { BoundPod } from "./bound-pod.ts";
import type { LifeOfPod } from "./life-of-pod.ts";
import { invalidToken, unavailable } from "./token-refusals.ts";

export interface PodAnswerDeps {
  readonly lifeOfPod: LifeOfPod;
  readonly decideRole: DecideRole;
  readonly obtain: ObtainCredentials;
  /** Told when a policy forbids what a pod asks for. */
  readonly onForbidden: (caller: Caller, reason: string) => void;
}

/** What the pod of a good token gets: the credentials of its ServiceAccount's role, or why none. */
export function podAnswer(pod: BoundPod, deps: PodAnswerDeps): Soon<AgentAnswer> {
  return whenThere(deps.lifeOfPod(pod), (life) => {
    if (life.status === "gone") return invalidToken(life.problem);
    if (life.status === "unavailable") return unavailable(life.problem);
    const caller = callerOf(pod);
    return whenThere(deps.decideRole(caller), (role) => roleAnswer(pod, { caller, role }, deps));
  });
}

function roleAnswer(
  pod: BoundPod,
  { caller, role }: { readonly caller: Caller; readonly role: RoleDecision },
  { obtain, onForbidden }: PodAnswerDeps,
): Soon<AgentAnswer> {
  switch (role.status) {
    case "none": {
      const message = `ServiceAccount ${pod.namespace}/${pod.serviceAccount} has no role`;
      return serviceError("ResourceNotFoundException", { message, requestId: randomUUID() });
    }
    case "forbidden":
      onForbidden(caller, role.reason);
      return serviceError("AccessDeniedException", {
        message: role.reason,
        requestId: randomUUID(),
      });
    case "unavailable":
      return unavailable(role.reason);
    case "allowed":
      break;
    default:
      return role satisfies never;
  }
  if (role.serviceAccountUid === undefined) {
    return unavailable("the UID of its ServiceAccount is not known");
  }
  if (role.serviceAccountUid !== pod.serviceAccountUid) {
    return invalidToken("another ServiceAccount has the name of its ServiceAccount");
  }
  return whenThere(obtain({ caller, role: withoutNode(role) }), (result) => {
    if (result.status === "good") return answerWith(result.credentials, role.roleArn);
    const message = `${result.code}: ${result.message}`;
    return serviceError(ERROR_BY_FAILURE[result.kind], { message, requestId: randomUUID() });
  });
}

/** The same for the same pod, so that what was decided of it can be remembered. */
const callerOf = onceFor(({ podUid, podName, namespace, serviceAccount }: BoundPod): Caller => ({
  podUid,
  podName,
  namespace,
  serviceAccount,
  address: "",
  // The token speaks for the ServiceAccount: what somebody wrote on the pod has no say.
  podAnnotations: {},
}));

/** The node itself never gave such pods anything. */
const withoutNode = onceFor((role: AllowedRole): CredentialRole => ({ ...role, legacy: false }));

/** Written once for the same credentials, which belong to one role. */
const answerWith = onceFor((credentials: Credentials, roleArn: string) =>
  credentialsAnswer(credentials, roleArn),
);
