import express, { type ErrorRequestHandler, type Express, type Response } from "express";
import { AppError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Outcome, OutcomeReason, WebhookMetrics } from "./metrics.ts";
import type { Association } from "./identity/identity-source.ts";
import {
  mutationOf,
  type MutationInputs,
  type MutationSettings,
  type ServiceAccountState,
} from "./mutation/mutation.ts";
import { serviceAccountNameOf } from "./pod/pod.ts";
import type { NamespacePolicy } from "../lib/namespace-policy.ts";
import { shownRole } from "../lib/quoted.ts";
import { readBody } from "./admission/request-body.ts";
import {
  allowed,
  answerOf,
  deniedAnswer,
  parseRequest,
  parseReview,
  type Answered,
  type ReviewAnswer,
  type ReviewRequest,
} from "./admission/review.ts";
import { MUTATE_PATHS, TOKEN_REQUEST_PATH, VALIDATE_PATH, type Tier } from "./coverage/tier.ts";
import {
  isTokenRequest,
  parseTokenQuestion,
  requesterOf,
  tokenRequestProblem,
  type PodPlace,
} from "./validation/token-request.ts";
import { validationOf, type ValidationMode } from "./validation/validation.ts";

/** What the app needs from the outside; main.ts passes the real things, tests pass fakes. */
export interface AppDeps {
  readonly settings: MutationSettings;
  /** What becomes of mistakes in ServiceAccounts and Namespaces. */
  readonly validation: ValidationMode;
  readonly stateOf: (namespace: string, name: string) => Promise<ServiceAccountState>;
  /** What the configuration says of a ServiceAccount beside its own annotations. */
  readonly associationOf: (namespace: string, name: string) => Promise<Association>;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Undefined when the namespace could not be read. */
  readonly policyOf: (namespace: string) => Promise<NamespacePolicy | undefined>;
  /**
   * Where a pod is, read live; undefined when there is none of that name.
   *
   * @throws AppError when it cannot be read.
   */
  readonly placeOf: (namespace: string, pod: string) => Promise<PodPlace | undefined>;
  /** Why the server should get no traffic; undefined when it should. */
  readonly notReadyBecause: () => string | undefined;
  readonly log: Pick<Logger, "info" | "error">;
  readonly metrics: Pick<
    WebhookMetrics,
    "reviews" | "reviewSeconds" | "validations" | "tokenRequests"
  >;
}

/** Largest request body kube-apiserver itself accepts, in bytes (3 MiB). */
export const BODY_LIMIT_BYTES = 3 * 1024 * 1024;

/** The webhook's HTTP surface. Does not listen, read files, or look at the environment. */
export function createApp(deps: AppDeps): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.set("query parser", false);

  for (const tier of ["enabled", "required"] as const) {
    serve(app, MUTATE_PATHS[tier], (body) => reviewPod(body, tier, deps));
  }
  serve(app, VALIDATE_PATH, (body) => reviewObject(body, deps));
  serve(app, TOKEN_REQUEST_PATH, (body) => reviewTokenRequest(body, deps));

  app.get("/healthz", (_req, res) => sendText(res, 200, "ok"));
  app.get("/readyz", (_req, res) => {
    const problem = deps.notReadyBecause();
    sendText(res, problem === undefined ? 200 : 503, problem ?? "ok");
  });
  app.use((_req, res) => sendText(res, 404, "not found"));
  app.use(errorHandler(deps));
  return app;
}

/** Answers reviews on a path, and counts and logs what `decide` says only once that is done. */
function serve(app: Express, path: string, decide: (body: string) => Promise<Reviewed>): void {
  app.post(path, async (req, res) => {
    const startMs = performance.now();
    const body = await readBody(req, BODY_LIMIT_BYTES);
    if (!isJson(req.headers["content-type"])) {
      const message = "Invalid Content-Type, expected `application/json`";
      throw new AppError("BODY_INVALID", 415, message);
    }
    const { answer, record } = await decide(body);
    sendJson(res, answer);
    record(performance.now() - startMs);
  });
  app.all(path, (_req, res) => {
    res.setHeader("allow", "POST");
    throw new AppError("BODY_INVALID", 405, "Cannot review this way: expected POST");
  });
}

interface Reviewed {
  readonly answer: ReviewAnswer;
  readonly record: (durationMs: number) => void;
}

async function reviewPod(body: string, tier: Tier, deps: AppDeps): Promise<Reviewed> {
  const parsed = parseReview(body);
  if (parsed.status === "answered") return answeredAtOnce(parsed, deps);
  const { uid, namespace, pod, ephemeralContainers } = parsed.review;
  const { metadata } = pod;
  const name = serviceAccountNameOf(pod);
  const mutation = mutationOf({
    pod,
    tier,
    settings: deps.settings,
    random: deps.random(),
    ephemeralContainers,
    ...(await knownOf(namespace, name, deps)),
  });
  const { reason, identity, roleArn, operations, warnings, denial } = mutation;
  const isMutated = operations.length > 0;
  const outcome = denial !== undefined ? "denied" : isMutated ? "mutated" : "unchanged";
  const facts = {
    uid,
    tier,
    namespace,
    // A pod of a controller has no name yet, only what it will start with.
    pod: metadata?.name || metadata?.generateName,
    serviceAccount: name,
    source: identity?.source,
    roleArn: roleArn === undefined ? undefined : shownRole(roleArn),
    ops: operations.length,
    ...(warnings.length > 0 ? { warnings } : {}),
    ...(denial === undefined ? {} : { denial }),
  };
  return {
    answer: answerOf(parsed.review, mutation),
    record: recordReview(deps, { outcome, reason, facts }),
  };
}

/** What is known of a pod's ServiceAccount and namespace, read at the same time. */
async function knownOf(
  namespace: string,
  name: string | undefined,
  { stateOf, associationOf, policyOf }: AppDeps,
): Promise<Pick<MutationInputs, "serviceAccount" | "association" | "policy">> {
  if (name === undefined) return { serviceAccount: { status: "no-service-account" } };
  const [serviceAccount, association, policy] = await Promise.all([
    stateOf(namespace, name),
    associationOf(namespace, name),
    policyOf(namespace),
  ]);
  if (policy === undefined) return { serviceAccount: { status: "namespace-unavailable" } };
  return { serviceAccount, association, policy };
}

async function reviewObject(body: string, deps: AppDeps): Promise<Reviewed> {
  const { settings, validation: mode, policyOf, metrics, log } = deps;
  const parsed = parseRequest(body);
  if (parsed.status === "answered") return answeredAtOnce(parsed, deps);
  const { uid, namespace, resource } = parsed.request;
  // One that cannot be read is no reason to find a mistake.
  const policy = resource === "serviceaccounts" ? ((await policyOf(namespace)) ?? {}) : {};
  const { answer, outcome, problems } = validationOf(parsed.request, { settings, mode, policy });
  return {
    answer,
    record: (durationMs) => {
      metrics.validations.inc({ outcome });
      if (problems.length === 0) return;
      const line = { uid, namespace, resource, decision: outcome, problems };
      log.info({ ...line, durationMs: rounded(durationMs) }, "Found mistakes");
    },
  };
}

async function reviewTokenRequest(body: string, deps: AppDeps): Promise<Reviewed> {
  const { metrics, log } = deps;
  const parsed = parseRequest(body);
  if (parsed.status === "answered") return answeredAtOnce(parsed, deps);
  const { request } = parsed;
  const { uid, namespace, typeMeta } = request;
  const problem = isTokenRequest(request) ? await tokenProblemOf(request, deps) : undefined;
  const decision = problem === undefined ? "allowed" : "denied";
  const answer =
    problem === undefined
      ? allowed(uid, typeMeta, { auditAnnotations: { decision } })
      : deniedAnswer({ uid, typeMeta }, problem, { decision });
  return {
    answer,
    record: (durationMs) => {
      metrics.tokenRequests.inc({ outcome: decision });
      if (problem === undefined) return;
      const line = { uid, namespace, user: requesterOf(request), decision, problem };
      log.info({ ...line, durationMs: rounded(durationMs) }, "Refused a token");
    },
  };
}

async function tokenProblemOf(
  request: ReviewRequest,
  { placeOf }: AppDeps,
): Promise<string | undefined> {
  const question = parseTokenQuestion(request);
  if (typeof question === "string") return question;
  try {
    const { namespace, podName } = question;
    return tokenRequestProblem(question, await placeOf(namespace, podName));
  } catch (err) {
    return `Cannot make a token while its pod cannot be read: ${reasonOf(err)}`;
  }
}

function answeredAtOnce({ answer, reason }: Answered, deps: AppDeps): Reviewed {
  const { uid, status } = answer.response;
  const outcome = answer.response.allowed ? "unchanged" : "refused";
  const facts = { uid, problem: status?.message };
  return { answer, record: recordReview(deps, { outcome, reason, facts }) };
}

function recordReview(
  { metrics, log }: AppDeps,
  {
    outcome,
    reason,
    facts,
  }: { readonly outcome: Outcome; readonly reason: OutcomeReason; readonly facts: object },
): Reviewed["record"] {
  return (durationMs) => {
    metrics.reviews.inc({ outcome, reason });
    metrics.reviewSeconds.observe(durationMs / 1000);
    const line = { ...facts, decision: outcome, reason, durationMs: rounded(durationMs) };
    log.info(line, "Reviewed pod");
  };
}

function rounded(ms: number): number {
  return Math.round(ms * 100) / 100;
}

/** Parameters such as `charset=utf-8` do not make it another type. */
function isJson(contentType: string | undefined): boolean {
  return contentType?.split(";")[0]?.trim().toLowerCase() === "application/json";
}

function errorHandler({ log, metrics }: AppDeps): ErrorRequestHandler {
  return (err: unknown, req, res, _next) => {
    if (err instanceof AppError) {
      const reason = "unreadable-request";
      metrics.reviews.inc({ outcome: "refused", reason });
      log.info({ code: err.code, status: err.status, reason: err.message }, "Refused request");
      // A body that was not read to its end would be taken for the next request.
      if (!req.complete) res.setHeader("connection", "close");
      sendText(res, err.status, err.message);
      return;
    }
    metrics.reviews.inc({ outcome: "refused", reason: "internal-error" });
    log.error({ err }, "Request failed");
    sendText(res, 500, "internal error");
  };
}

function sendJson(res: Response, body: object): void {
  send(res, 200, "application/json", JSON.stringify(body));
}

function sendText(res: Response, status: number, body: string): void {
  send(res, status, "text/plain; charset=utf-8", `${body}\n`);
}

function send(res: Response, status: number, type: string, body: string): void {
  res.writeHead(status, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  res.end(body);
}
