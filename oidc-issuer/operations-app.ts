import express, { type Express } from "express";
import type { Registry } from "prom-client";

/**
 * What the cluster asks, on a port of its own: `/healthz` while the process lives, `/readyz` while keys
 * are served, however old they are, and `/metrics`.
 */
export function createOperationsApp({
  registry,
  isReady,
}: {
  readonly registry: Registry;
  readonly isReady: () => boolean;
}): Express {
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.get("/healthz", (_req, res) => {
    res.type("text/plain").send("ok\n");
  });
  app.get("/readyz", (_req, res) => {
    const ready = isReady();
    res.type("text/plain");
    res.status(ready ? 200 : 503).send(ready ? "ok\n" : "no key is known yet\n");
  });
  app.get("/metrics", async (_req, res) => {
    res.setHeader("Content-Type", registry.contentType);
    res.send(await registry.metrics());
  });
  return app;
}
