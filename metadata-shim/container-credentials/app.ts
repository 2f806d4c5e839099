import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener } from "node:http";
import type { Logger } from "../../lib/log.ts";
import type { Caller } from "../caller/caller.ts";
import type { Credentials, ObtainCredentials } from "../credentials/credentials.ts";
import { hostOf } from "../imds/allowed-hosts.ts";
import type { ShimMetrics } from "../metrics.ts";
import { remoteAddressOf } from "../remote-address.ts";
import { isBodyWithin } from "../request-body.ts";
import type { DecideRole } from "../role/role-decision.ts";
import {
  BODY_TOO_LARGE,
  credentialsAnswer,
  EARLY_TOKEN,
  EMPTY_TOKEN,
  ERROR_BY_FAILURE,
  EXPIRED_TOKEN,
  INTERNAL_ERROR,
  invalidAddress,
  serviceError,
  UNKNOWN_PATH,
  UNREADABLE_TOKEN,
  type AgentAnswer,
} from "./answers.ts";
import type { BoundPod } from "./bound-pod.ts";
import type { LifeOfPod } from "./life-of-pod.ts";
import type { VerifyToken } from "./token-verifier.ts";

export interface ContainerCredentialsDeps {
  /** In lower case, IPv6 addresses without brackets. */
  readonly hosts: ReadonlySet<string>;
  readonly verifyToken: VerifyToken;
  readonly lifeOfPod: LifeOfPod;
  readonly decideRole: DecideRole;
  readonly obtain: ObtainCredentials;
  /** Told when a policy forbids what a pod asks for. */
  readonly onForbidden: (caller: Caller, reason: string) => void;
  readonly log: Pick<Logger, "info" | "error">;
  readonly metrics: Pick<ShimMetrics, "containerRequests">;
}

const PATH = "/v1/credentials";
const BODY_LIMIT_BYTES = 1024;

/**
 * The container-credentials endpoint that SDKs know from EKS Pod Identity: the pod shows its
 * ServiceAccount token, which says who it is, whatever its address. Any method will do, as with AWS's
 * agent.
 */
export function createContainerCredentialsApp(deps: ContainerCredentialsDeps): RequestListener {
  return (req, res) => {
    void (async () => {
      let answer: AgentAnswer;
      try {
        answer = await answerOf(req, deps);
      } catch (err) {
        deps.log.error({ err }, "Cannot answer");
        answer = INTERNAL_ERROR;
      }
      const { status, contentType, body, problem } = answer;
      const headers = { "content-type": contentType, "content-length": Buffer.byteLength(body) };
      res.writeHead(
        status,
        answer === BODY_TOO_LARGE ? { ...headers, connection: "close" } : headers,
      );
      res.end(body);
      deps.metrics.containerRequests.inc({ code: String(status) });
      if (problem === undefined) return;
      const address = remoteAddressOf(req.socket.remoteAddress);
      deps.log.info({ address, status, problem }, "Refused container credentials");
    })();
  };
}

async function answerOf(
  req: IncomingMessage,
  deps: ContainerCredentialsDeps,
): Promise<AgentAnswer> {
  const fits = isBodyWithin(req, BODY_LIMIT_BYTES);
  if (fits === false || (fits !== true && !(await fits))) return BODY_TOO_LARGE;
  const [path] = (req.url ?? "").split("?", 1);
  if (path !== PATH) return UNKNOWN_PATH;
  const host = hostOf(req.headers.host ?? "");
  if (!deps.hosts.has(host)) return invalidAddress(deps.hosts, host);
  const { authorization = "" } = req.headers;
  if (authorization === "") return EMPTY_TOKEN;
  const verdict = await deps.verifyToken(authorization);
  switch (verdict.status) {
    case "good":
      return podAnswer(verdict.pod, deps);
    case "unreadable":
      return UNREADABLE_TOKEN;
    case "expired":
      return EXPIRED_TOKEN;
    case "early":
      return EARLY_TOKEN;
    case "invalid":
      return invalidToken(verdict.problem);
    case "unavailable":
      return unavailable(verdict.problem);
    default:
      return verdict satisfies never;
  }
}

async function podAnswer(
  pod: BoundPod,
  { lifeOfPod, decideRole, obtain, onForbidden }: ContainerCredentialsDeps,
): Promise<AgentAnswer> {
  const life = await lifeOfPod(pod);
  if (life.status === "gone") return invalidToken(life.problem);
  if (life.status === "unavailable") return unavailable(life.problem);
  const { podUid, podName, namespace, serviceAccount } = pod;
  // The token speaks for the ServiceAccount: what somebody wrote on the pod has no say.
  const caller = { podUid, podName, namespace, serviceAccount, address: "", podAnnotations: {} };
  const role = await decideRole(caller);
  switch (role.status) {
    case "none": {
      const message = `ServiceAccount ${namespace}/${serviceAccount} has no role`;
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
  if (role.serviceAccountUid !== pod.serviceAccountUid) {
    return invalidToken("another ServiceAccount has the name of its ServiceAccount");
  }
  // The node never gave such pods anything.
  const result = await obtain({ caller, role: { ...role, legacy: false } });
  if (result.status === "good") return answerWith(result.credentials, role.roleArn);
  const message = `${result.code}: ${result.message}`;
  return serviceError(ERROR_BY_FAILURE[result.kind], { message, requestId: randomUUID() });
}

const answers = new WeakMap<Credentials, AgentAnswer>();

/** Written once for the same credentials, which belong to one role. */
function answerWith(credentials: Credentials, roleArn: string): AgentAnswer {
  let answer = answers.get(credentials);
  if (answer === undefined) {
    answer = credentialsAnswer(credentials, roleArn);
    answers.set(credentials, answer);
  }
  return answer;
}

function invalidToken(problem: string): AgentAnswer {
  const message = `The service account token cannot be used: ${problem}`;
  return serviceError("InvalidTokenException", { message, requestId: randomUUID() });
}

function unavailable(problem: string): AgentAnswer {
  return {
    ...serviceError("ServiceUnavailableException", {
      message: "The token cannot be judged now",
      requestId: randomUUID(),
    }),
    problem,
  };
}
