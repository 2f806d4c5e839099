import type { RequestListener } from "node:http";
import type { Registry } from "prom-client";
import { isLoopback } from "../lib/loopback.ts";

export interface OperationsDeps {
  readonly registry: Registry;
  /** Sets the gauges that are read from elsewhere. */
  readonly refreshMetrics: () => void;
  /** Why no pod should be sent here; undefined when all is well. */
  readonly notReadyBecause: () => string | undefined;
  /** What is known of the pods of this node; undefined to show nothing. */
  readonly debugState: (() => object) | undefined;
}

/**
 * What the operator and the cluster ask, never pods: `/healthz` while the process lives, `/readyz`,
 * `/metrics`, and `/debug/state` where it is shown. Without express, which would be a quarter of
 * this process' memory.
 */
export function createOperationsApp(deps: OperationsDeps): RequestListener {
  return (req, res) => {
    const reply = (status: number, body: string, type = "text/plain"): void => {
      const headers = { "content-type": type, "content-length": Buffer.byteLength(body) };
      res.writeHead(status, { ...headers, "cache-control": "no-store" }).end(body);
    };
    if (req.method !== "GET" && req.method !== "HEAD") {
      res.setHeader("allow", "GET, HEAD");
      reply(405, "expected GET\n");
      return;
    }
    const [path] = (req.url ?? "").split("?", 1);
    if (path === "/healthz") reply(200, "ok\n");
    else if (path === "/readyz") {
      const problem = deps.notReadyBecause();
      reply(problem === undefined ? 200 : 503, `${problem ?? "ok"}\n`);
    } else if (path === "/metrics") {
      deps.refreshMetrics();
      deps.registry.metrics().then(
        (text) => reply(200, text, deps.registry.contentType),
        () => reply(500, "the metrics cannot be read\n"),
      );
    } else if (path === "/debug/state" && deps.debugState !== undefined) {
      // A page in a browser may have had a name of its own pointed here.
      if (isLoopback(`http://${req.headers.host ?? ""}`)) {
        reply(200, JSON.stringify(deps.debugState()), "application/json");
      } else reply(403, "Cannot debug by this name: expected Host localhost\n");
    } else reply(404, "not found\n");
  };
}
