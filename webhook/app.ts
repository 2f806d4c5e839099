import express, { type ErrorRequestHandler, type Express, type Response } from "express";
import { AppError } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import type { Outcome, OutcomeReason, WebhookMetrics } from "./metrics.ts";
import { NO_ASSOCIATION, type Association } from "./identity-source.ts";
import { mutationOf, type MutationSettings, type ServiceAccountState } from "./mutation.ts";
import { serviceAccountNameOf } from "./pod.ts";
import { readBody } from "./request-body.ts";
import { answerOf, parseReview, type ReviewAnswer } from "./review.ts";

/** What the app needs from the outside; main.ts passes the real things, tests pass fakes. */
export interface AppDeps {
  readonly settings: MutationSettings;
  readonly stateOf: (namespace: string, name: string) => Promise<ServiceAccountState>;
  /** What the configuration says of a ServiceAccount beside its own annotations. */
  readonly associationOf: (namespace: string, name: string) => Promise<Association>;
  /** A number in [0, 1). */
  readonly random: () => number;
  /** Why the server should get no traffic; undefined when it should. */
  readonly notReadyBecause: () => string | undefined;
  readonly log: Pick<Logger, "info" | "error">;
  readonly metrics: Pick<WebhookMetrics, "reviews" | "reviewSeconds">;
}

/** Largest request body kube-apiserver itself accepts, in bytes (3 MiB). */
export const BODY_LIMIT_BYTES = 3 * 1024 * 1024;

/** The webhook's HTTP surface. Does not listen, read files, or look at the environment. */
export function createApp(deps: AppDeps): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.set("query parser", false);

  app.post("/mutate", async (req, res) => {
    const startMs = performance.now();
    const body = await readBody(req, BODY_LIMIT_BYTES);
    if (!isJson(req.headers["content-type"])) {
      const message = "Invalid Content-Type, expected `application/json`";
      throw new AppError("BODY_INVALID", 415, message);
    }
    const { answer, outcome, reason, facts } = await review(body, deps);
    sendJson(res, answer);
    const durationMs = performance.now() - startMs;
    deps.metrics.reviews.inc({ outcome, reason });
    deps.metrics.reviewSeconds.observe(durationMs / 1000);
    const line = {
      ...facts,
      decision: outcome,
      reason,
      durationMs: Math.round(durationMs * 100) / 100,
    };
    deps.log.info(line, "Reviewed pod");
  });
  app.all("/mutate", (_req, res) => {
    res.setHeader("allow", "POST");
    throw new AppError("BODY_INVALID", 405, "Cannot review this way: expected POST");
  });

  app.get("/healthz", (_req, res) => sendText(res, 200, "ok"));
  app.get("/readyz", (_req, res) => {
    const problem = deps.notReadyBecause();
    sendText(res, problem === undefined ? 200 : 503, problem ?? "ok");
  });
  app.use((_req, res) => sendText(res, 404, "not found"));
  app.use(errorHandler(deps));
  return app;
}

interface Reviewed {
  readonly answer: ReviewAnswer;
  readonly outcome: Outcome;
  readonly reason: OutcomeReason;
  /** For the log. */
  readonly facts: object;
}

const NO_SERVICE_ACCOUNT: ServiceAccountState = { status: "no-service-account" };

async function review(
  body: string,
  { settings, stateOf, associationOf, random }: AppDeps,
): Promise<Reviewed> {
  const parsed = parseReview(body);
  if (parsed.status === "answered") {
    const { answer, reason } = parsed;
    const { uid, allowed, status } = answer.response;
    const outcome = allowed ? "unchanged" : "refused";
    return { answer, reason, outcome, facts: { uid, problem: status?.message } };
  }
  const { uid, namespace, pod } = parsed.review;
  const { metadata } = pod;
  const name = serviceAccountNameOf(pod);
  const [serviceAccount, association] =
    name === undefined
      ? [NO_SERVICE_ACCOUNT, NO_ASSOCIATION]
      : await Promise.all([stateOf(namespace, name), associationOf(namespace, name)]);
  const mutation = mutationOf({ pod, serviceAccount, association, settings, random: random() });
  const { reason, identity, roleArn, operations, warnings } = mutation;
  return {
    answer: answerOf(parsed.review, mutation),
    reason,
    outcome: operations.length > 0 ? "mutated" : "unchanged",
    facts: {
      uid,
      namespace,
      // A pod of a controller has no name yet, only what it will start with.
      pod: metadata?.name || metadata?.generateName,
      serviceAccount: name,
      source: identity?.source,
      roleArn,
      ops: operations.length,
      ...(warnings.length > 0 ? { warnings } : {}),
    },
  };
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
