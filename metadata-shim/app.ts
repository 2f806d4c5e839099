import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { parseRoleArn } from "../lib/arn.ts";
import type { Clock } from "../lib/clock.ts";
import type { Logger } from "../lib/log.ts";
import { onceFor } from "../lib/once-for.ts";
import { settle, whenThere, type Soon } from "../lib/soon.ts";
import type {
  Caller,
  CallerConnection,
  CallerDecision,
  HttpTokens,
  IdentifyCaller,
} from "./caller/caller.ts";
import type { Credentials, ObtainCredentials } from "./credentials/credentials.ts";
import { isAllowedHost } from "./imds/allowed-hosts.ts";
import {
  BAD_TTL,
  BODY_TOO_LARGE,
  DATED_TOKEN_PATH,
  FORBIDDEN_HOST,
  FORWARDED,
  found,
  INTERNAL_ERROR,
  methodNotAllowed,
  NOT_FOUND,
  UNAUTHORIZED,
  type Answer,
  type AnswerReason,
} from "./imds/answer.ts";
import { credentialsDocument, identityDocument, roleInfoDocument } from "./imds/documents.ts";
import type { InstanceFacts, Resource } from "./imds/metadata-tree.ts";
import {
  callerRefusal,
  credentialRefusal,
  otherRoleRefusal,
  roleRefusal,
  type RefusedRequest,
} from "./imds/refusals.ts";
import { isRequestedRole } from "./imds/requested-role.ts";
import type { FindResource } from "./imds/resource-finder.ts";
import { parseTokenTtl } from "./session-token/session-token.ts";
import type { ShimMetrics } from "./metrics.ts";
import { remoteAddressOf } from "./remote-address.ts";
import { isBodyWithin } from "./request-body.ts";
import type { Profile } from "./role/profile.ts";
import type { DecideRole, RoleDecision } from "./role/role-decision.ts";
import type { SessionTokens } from "./session-token/session-tokens.ts";

/** Where profiles differ in the protocol. */
export interface ProtocolRules {
  /** Whose words refusals have. */
  readonly profile: Profile;
  /** Whether reads need a session token, where no annotation says it (EC2's `HttpTokens`). */
  readonly httpTokens: HttpTokens;
  /** Whether credentials are refused to requests that a proxy has passed on. */
  readonly refuseForwarded: boolean;
}

/** What the app needs from the outside; main.ts passes the real things, tests pass fakes. */
export interface AppDeps {
  readonly rules: ProtocolRules;
  readonly findResource: FindResource;
  readonly facts: InstanceFacts;
  /** Time in the identity document, in milliseconds. */
  readonly startedAtMs: number;
  readonly sessionTokens: SessionTokens;
  /** In lower case, IPv6 addresses without brackets. */
  readonly hosts: ReadonlySet<string>;
  readonly identify: IdentifyCaller;
  /** What a namespace says; asked for pods that say nothing themselves. */
  readonly httpTokensOf: (namespace: string) => Soon<HttpTokens | undefined>;
  readonly decideRole: DecideRole;
  readonly obtain: ObtainCredentials;
  /** Told when a pod asks for what a policy forbids, or for another role than its own. */
  readonly onForbidden: (caller: Caller, reason: string) => void;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Logger, "debug" | "info" | "error">;
  readonly metrics: Pick<ShimMetrics, "answered" | "answeredIn">;
  /** Told of each answer. */
  readonly onAnswer?: ((facts: AnsweredRequest) => void) | undefined;
}

/** An answer as it went out. */
export interface AnsweredRequest {
  readonly resource: Resource["kind"] | "none";
  readonly method: string;
  readonly status: number;
  readonly reason: AnswerReason;
  /** From the request's head on. */
  readonly seconds: number;
}

/** Largest body that a request may have: a token request has none, some clients send a byte or two. */
export const BODY_LIMIT_BYTES = 1024;

const TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER = "x-aws-ec2-metadata-token";

/**
 * The metadata service's HTTP surface (EC2 User Guide, "Instance metadata"): versions 1 and 2 for pods
 * by their address. On Node's own server, as every microsecond is felt by clients that ask before
 * each call. Whatever is not known is 404; nothing is ever passed on to another service.
 */
export function createApp(deps: AppDeps): RequestListener {
  return (req, res) => respond(req, res, deps);
}

function respond(req: IncomingMessage, res: ServerResponse, deps: AppDeps): void {
  const startMs = performance.now();
  const resource = deps.findResource(req.url ?? "");
  const asked: Asked = { req, resource, address: remoteAddressOf(req.socket.remoteAddress) };
  const end = (answer: Answer): void => {
    send(res, answer);
    record(asked, answer, (performance.now() - startMs) / 1000, deps);
  };
  const fail = (err: unknown): void => {
    deps.log.error({ err }, "Cannot answer");
    end(INTERNAL_ERROR);
  };
  settle(() => answerOf(asked, deps), end, fail);
}

/** A request, what it asks for (undefined for nothing that is there), and where it comes from. */
interface Asked {
  readonly req: IncomingMessage;
  readonly resource: Resource | undefined;
  readonly address: string;
}

function record(
  { req: { method = "" }, resource, address }: Asked,
  { status, reason, detail }: Answer,
  seconds: number,
  { metrics, onAnswer, log }: AppDeps,
): void {
  const kind = resource?.kind ?? "none";
  metrics.answered(kind, status);
  metrics.answeredIn(seconds);
  onAnswer?.({ resource: kind, method, status, reason, seconds });
  if (reason === "ok") return;
  const level = QUIET.has(reason) ? "debug" : "info";
  log[level]({ address, method, resource: kind, status, reason, detail }, "Refused a request");
}

/** What clients do all the time, by their nature: they look for what may be there, and for tokens. */
const QUIET: ReadonlySet<AnswerReason> = new Set(["not-found", "session-token"]);

function answerOf(asked: Asked, deps: AppDeps): Soon<Answer> {
  const fits = isBodyWithin(asked.req, BODY_LIMIT_BYTES);
  if (fits === false) return BODY_TOO_LARGE;
  if (fits === true) return methodAnswer(asked, deps);
  return fits.then((doesFit) => (doesFit ? methodAnswer(asked, deps) : BODY_TOO_LARGE));
}

function methodAnswer(asked: Asked, deps: AppDeps): Soon<Answer> {
  const { method, headers } = asked.req;
  if (!isAllowedHost(headers.host, deps.hosts)) return FORBIDDEN_HOST;
  if (method === "PUT") return tokenAnswer(asked, deps);
  const isRead = method === "GET" || method === "HEAD";
  const makesTokens = asked.resource?.kind === "session-token";
  if (!isRead || makesTokens) return methodNotAllowed(makesTokens);
  const token = textOf(headers[TOKEN_HEADER]);
  if (token === undefined) return answerWithoutToken(asked, deps);
  const seconds = deps.sessionTokens.remainingSeconds(token, asked.address);
  if (seconds === undefined) return UNAUTHORIZED;
  const answer = readAnswer(asked, identifyCaller, deps);
  return whenThere(answer, (read) => withRemaining(read, seconds));
}

/** Tells how long the session token still holds, as EC2 does with every answer to one. */
function withRemaining(answer: Answer, seconds: number): Answer {
  return { ...answer, headers: { ...answer.headers, [TTL_HEADER]: String(seconds) } };
}

/** IMDSv1, where the pod, its namespace or the settings allow it. */
function answerWithoutToken(asked: Asked, deps: AppDeps): Soon<Answer> {
  return whenThere(identifyCaller(asked, deps), (decision) =>
    whenThere(ownHttpTokens(decision, deps), (own) => {
      if ((own ?? deps.rules.httpTokens) !== "optional") return UNAUTHORIZED;
      return readAnswer(asked, () => decision, deps);
    }),
  );
}

function ownHttpTokens(
  decision: CallerDecision,
  { httpTokensOf }: AppDeps,
): Soon<HttpTokens | undefined> {
  if (decision.status !== "known") return undefined;
  const { httpTokens, namespace } = decision.caller;
  return httpTokens ?? httpTokensOf(namespace);
}

function tokenAnswer(
  { req: { headers }, resource, address }: Asked,
  { sessionTokens }: AppDeps,
): Answer {
  if (resource?.kind === "dated-session-token") return DATED_TOKEN_PATH;
  if (resource?.kind !== "session-token") return methodNotAllowed(false);
  if (headers["x-forwarded-for"] !== undefined) return FORWARDED;
  const ttlSeconds = parseTokenTtl(textOf(headers[TTL_HEADER]));
  if (ttlSeconds === undefined) return BAD_TTL;
  const token = sessionTokens.issue(address, ttlSeconds);
  return { ...found(token), headers: { [TTL_HEADER]: String(ttlSeconds) } };
}

type Identify = (asked: Asked, deps: AppDeps) => Soon<CallerDecision>;

function readAnswer(asked: Asked, identify: Identify, deps: AppDeps): Soon<Answer> {
  const { req, resource, address } = asked;
  if (resource?.kind === "text") return found(resource.body);
  if (resource === undefined || isTokenPath(resource)) return NOT_FOUND;
  const isForwarded = req.headers["x-forwarded-for"] !== undefined;
  if (isForwarded && deps.rules.refuseForwarded) return FORWARDED;
  return whenThere(identify(asked, deps), (decision) =>
    ownAnswer(resource, decision, refusedRequest(resource, address, deps), deps),
  );
}

/** What belongs to the pod that asks. */
function ownAnswer(
  resource: OwnResource,
  decision: CallerDecision,
  request: RefusedRequest,
  deps: AppDeps,
): Soon<Answer> {
  if (decision.status !== "known") return callerRefusal(decision, request);
  const { caller } = decision;
  return whenThere(deps.decideRole(caller), (role) =>
    roleAnswer(resource, { caller, role }, request, deps),
  );
}

function roleAnswer(
  resource: OwnResource,
  { caller, role }: { readonly caller: Caller; readonly role: RoleDecision },
  request: RefusedRequest,
  { obtain, onForbidden, facts, startedAtMs, clock }: AppDeps,
): Soon<Answer> {
  if (role.status === "none" && resource.kind === "identity-document") {
    return found(identityDocument(facts, { accountId: undefined, startedAtMs }));
  }
  if (role.status === "forbidden") onForbidden(caller, role.reason);
  if (role.status !== "allowed") return roleRefusal(role, request);

  const { roleArn } = role;
  if (resource.kind === "role-list") return found(role.shownName);
  if (resource.kind === "identity-document") {
    const accountId = parseRoleArn(roleArn)?.accountId;
    return found(identityDocument(facts, { accountId, startedAtMs }));
  }
  if (resource.kind === "role-info") {
    const document = roleInfoDocument(roleArn, clock.now());
    return document === undefined ? NOT_FOUND : found(document);
  }
  if (!isRequestedRole(resource.name, role)) {
    onForbidden(caller, "It asked for another role than its own");
    return otherRoleRefusal(request);
  }
  return whenThere(obtain({ caller, role }), (result) =>
    result.status === "failed" ? credentialRefusal(result) : found(documentOf(result.credentials)),
  );
}

function refusedRequest(
  resource: OwnResource,
  address: string,
  { rules: { profile } }: AppDeps,
): RefusedRequest {
  if (resource.kind !== "role") return { profile, address, asked: "list" };
  return { profile, address, asked: "credentials", requestedName: resource.name };
}

type TokenResource = Extract<Resource, { kind: "session-token" | "dated-session-token" }>;
type OwnResource = Exclude<Resource, TokenResource | { kind: "text" }>;

function isTokenPath(resource: Resource | undefined): resource is TokenResource {
  return resource?.kind === "session-token" || resource?.kind === "dated-session-token";
}

/** Written once for the same credentials, which some clients fetch before each call. */
const documentOf = onceFor((credentials: Credentials) => credentialsDocument(credentials));

function identifyCaller({ req: { socket }, address }: Asked, deps: AppDeps): Soon<CallerDecision> {
  // A client that has gone meanwhile will not see the answer.
  if (!isOpen(socket)) return { status: "unavailable", reason: "it has gone" };
  // The socket itself, so that what is found out of a connection is remembered with it.
  return deps.identify(address, socket);
}

function isOpen(socket: Socket): socket is Socket & CallerConnection {
  const { remotePort, localAddress, localPort } = socket;
  return remotePort !== undefined && localAddress !== undefined && localPort !== undefined;
}

/** Node gives headers that are there twice as one text with a comma, except for some of its own. */
function textOf(header: string | string[] | undefined): string | undefined {
  return Array.isArray(header) ? header.join(", ") : header;
}

function send(res: ServerResponse, { status, body, headers }: Answer): void {
  res.writeHead(status, {
    "content-type": "text/plain",
    "content-length": Buffer.byteLength(body),
    // What some look for to tell that this is EC2.
    server: "EC2ws",
    ...headers,
  });
  res.end(body);
}
