import express, { type ErrorRequestHandler, type Express, type Request } from "express";
import type { Logger } from "../lib/log.ts";
import type { Documents } from "./documents.ts";
import { DISCOVERY_PATH, JWKS_PATH } from "./discovery.ts";
import type { Issuer } from "./issuer-url.ts";
import type { Metrics, RequestedPath } from "./metrics.ts";

/** How long others may keep a document, in seconds. */
export interface CacheTimes {
  readonly discoveryMaxAgeSeconds: number;
  readonly jwksMaxAgeSeconds: number;
  /** How long a cache may go on with an old JWKS while the issuer does not answer. */
  readonly jwksStaleIfErrorSeconds: number;
}

export interface AppDeps {
  readonly issuer: Issuer;
  /** Beside the issuer's own host, which is always allowed. */
  readonly allowedHosts: readonly string[];
  readonly cacheTimes: CacheTimes;
  /** Undefined while there is nothing to serve. */
  readonly documents: () => Documents | undefined;
  readonly metrics: Pick<Metrics, "requested">;
  readonly log: Pick<Logger, "debug" | "error">;
  readonly nowMs: () => number;
}

/**
 * The public HTTP surface: two documents, for the issuer's host only, by GET and HEAD. It looks at
 * nothing but method, Host, path and If-None-Match; a query is ignored, as a file server would.
 *
 * A path with a slash after it is not the document: a bucket that publishes the same issuer would not
 * know it either, and STS asks for the exact path.
 */
export function createApp(deps: AppDeps): Express {
  const { issuer, cacheTimes, documents, metrics, log, nowMs } = deps;
  const hosts = new Set([issuer.host, ...deps.allowedHosts].map((host) => host.toLowerCase()));
  const served = new Map<string, { name: "discovery" | "jwks"; cacheControl: string }>([
    [
      `${issuer.path}${DISCOVERY_PATH}`,
      { name: "discovery", cacheControl: `public, max-age=${cacheTimes.discoveryMaxAgeSeconds}` },
    ],
    [
      `${issuer.path}${JWKS_PATH}`,
      {
        name: "jwks",
        cacheControl:
          `public, max-age=${cacheTimes.jwksMaxAgeSeconds}, ` +
          `stale-if-error=${cacheTimes.jwksStaleIfErrorSeconds}`,
      },
    ],
  ]);

  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);

  app.use((req, res) => {
    const startMs = nowMs();
    // The raw path: nothing is decoded or resolved, so there is one spelling of each document's path.
    const [path = ""] = req.url.split("?", 1);
    const document = served.get(path);
    const label: RequestedPath = document?.name ?? "other";
    res.on("finish", () => {
      metrics.requested(label, res.statusCode);
      const { method } = req;
      const fields = { method, path: label, code: res.statusCode, durationMs: nowMs() - startMs };
      log.debug(fields, "Answered request");
    });

    res.setHeader("X-Content-Type-Options", "nosniff");
    const refuse = (status: number, code: string, message: string) => {
      res.setHeader("Content-Type", "application/json");
      res.setHeader("Cache-Control", "no-store");
      res.status(status).send(Buffer.from(JSON.stringify({ code, message })));
    };
    if (!hosts.has(hostnameOf(req))) {
      refuse(421, "HOST_UNKNOWN", "This host is not served here");
      return;
    }
    if (document === undefined) {
      refuse(404, "NOT_FOUND", "There is nothing at this path");
      return;
    }
    // Any origin may read what everybody may read.
    res.setHeader("Access-Control-Allow-Origin", "*");
    if (req.method !== "GET" && req.method !== "HEAD") {
      res.setHeader("Allow", "GET, HEAD");
      refuse(405, "METHOD_NOT_ALLOWED", "Only GET and HEAD are allowed");
      return;
    }
    const current = documents()?.[document.name];
    if (current === undefined) {
      res.setHeader("Retry-After", "5");
      refuse(503, "NOT_READY", "No key is known yet");
      return;
    }
    // Not by res.type(), which appends a charset that the media type does not have.
    res.setHeader("Content-Type", current.contentType);
    res.setHeader("Cache-Control", document.cacheControl);
    res.setHeader("ETag", current.etag);
    res.send(current.body);
  });

  app.use(errorHandler(log));
  return app;
}

/** The Host header without its port, in lower case; empty when there is none. */
function hostnameOf({ headers }: Request): string {
  return (headers.host ?? "").replace(/:\d*$/, "").toLowerCase();
}

function errorHandler(log: AppDeps["log"]): ErrorRequestHandler {
  return (err: unknown, _req, res, _next) => {
    log.error({ err }, "Request failed");
    res.setHeader("Cache-Control", "no-store");
    res.status(500).json({ code: "INTERNAL", message: "Internal error" });
  };
}
