import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Counter, Registry } from "prom-client";
import { listen } from "../lib/http.ts";
import { ask, type Reply } from "../test/fakes/ask.ts";
import { createOperationsApp, type OperationsDeps } from "./operations-app.ts";

async function asked(
  path: string,
  changes: Partial<OperationsDeps> = {},
  question: { method?: string; headers?: Record<string, string> } = {},
): Promise<Reply> {
  const registry = new Registry();
  new Counter({ name: "things_total", help: "Things", registers: [registry] }).inc();
  const app = createOperationsApp({
    registry,
    refreshMetrics: () => {},
    notReadyBecause: () => undefined,
    debugState: () => ({ pods: [] }),
    ...changes,
  });
  await using server = await listen(app, { port: 0, host: "127.0.0.1", drainMs: 100 });
  return await ask({ host: "127.0.0.1", port: server.port, path, ...question });
}

describe("operations", () => {
  it("tell that the process lives, whatever is missing", async () => {
    const { status, body } = await asked("/healthz", { notReadyBecause: () => "draining" });
    assert.deepEqual([status, body], [200, "ok\n"]);
  });

  it("tell why pods get nothing", async () => {
    assert.equal((await asked("/readyz")).status, 200);
    const { status, body } = await asked("/readyz", { notReadyBecause: () => "draining" });
    assert.deepEqual([status, body], [503, "draining\n"]);
  });

  it("tell metrics, set anew", async () => {
    let refreshed = 0;
    const reply = await asked("/metrics", { refreshMetrics: () => (refreshed += 1) });
    assert.match(reply.body, /^things_total 1$/m);
    assert.equal(refreshed, 1);
  });

  it("tell what is known of pods by a name of this machine only, where they do at all", async () => {
    const headers = { host: "evil.example" };
    assert.equal((await asked("/debug/state")).body, '{"pods":[]}');
    assert.equal((await asked("/debug/state", {}, { headers })).status, 403);
    assert.equal((await asked("/debug/state", { debugState: undefined })).status, 404);
  });

  it("know nothing else, and change nothing", async () => {
    assert.equal((await asked("/latest/meta-data")).status, 404);
    assert.equal((await asked("/metrics", {}, { method: "POST" })).status, 405);
  });
});
