import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Logger } from "../../lib/log.ts";
import { settle, whenThere, type Soon } from "../../lib/soon.ts";
import { hostOf } from "../imds/allowed-hosts.ts";
import type { ShimMetrics } from "../metrics.ts";
import { remoteAddressOf } from "../remote-address.ts";
import { isBodyWithin } from "../request-body.ts";
import {
  BODY_TOO_LARGE,
  EARLY_TOKEN,
  EMPTY_TOKEN,
  EXPIRED_TOKEN,
  INTERNAL_ERROR,
  invalidAddress,
  UNKNOWN_PATH,
  UNREADABLE_TOKEN,
  type AgentAnswer,
} from "./answers.ts";
import { podAnswer, type PodAnswerDeps } from "./pod-answer.ts";
import { invalidToken, unavailable } from "./token-refusals.ts";
import type { VerifyToken } from "./token-verifier.ts";

export interface ContainerCredentialsDeps extends PodAnswerDeps {
  /** In lower case, IPv6 addresses without brackets. */
  readonly hosts: ReadonlySet<string>;
  readonly verifyToken: VerifyToken;
  readonly log: Pick<Logger, "info" | "error">;
  readonly metrics: Pick<ShimMetrics, "containerAnswered">;
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
    const end = (answer: AgentAnswer): void => {
      send(res, answer);
      record(req, answer, deps);
    };
    const fail = (err: unknown): void => {
      deps.log.error({ err }, "Cannot answer");
      end(INTERNAL_ERROR);
    };
    settle(() => answerOf(req, deps), end, fail);
  };
}

function send(res: ServerResponse, answer: AgentAnswer): void {
  const { status, contentType, body } = answer;
  const headers = { "content-type": contentType, "content-length": Buffer.byteLength(body) };
  res.writeHead(status, answer === BODY_TOO_LARGE ? { ...headers, connection: "close" } : headers);
  res.end(body);
}

function record(
  { socket }: IncomingMessage,
  { status, problem }: AgentAnswer,
  { metrics, log }: ContainerCredentialsDeps,
): void {
  metrics.containerAnswered(status);
  if (problem === undefined) return;
  const address = remoteAddressOf(socket.remoteAddress);
  log.info({ address, status, problem }, "Refused container credentials");
}

function answerOf(req: IncomingMessage, deps: ContainerCredentialsDeps): Soon<AgentAnswer> {
  return whenThere(isBodyWithin(req, BODY_LIMIT_BYTES), (fits) =>
    fits ? tokenAnswer(req, deps) : BODY_TOO_LARGE,
  );
}

function tokenAnswer(
  { url = "", headers }: IncomingMessage,
  deps: ContainerCredentialsDeps,
): Soon<AgentAnswer> {
  const [path] = url.split("?", 1);
  if (path !== PATH) return UNKNOWN_PATH;
  const host = hostOf(headers.host ?? "");
  if (!deps.hosts.has(host)) return invalidAddress(deps.hosts, host);
  const { authorization = "" } = headers;
  if (authorization === "") return EMPTY_TOKEN;
  return whenThere(deps.verifyToken(authorization), (verdict) => {
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
  });
}
