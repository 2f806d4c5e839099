import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { listen, type RunningServer } from "../lib/http.ts";
import { createDebugApp, type DebugAppDeps } from "./debug-app.ts";

const ROLE = { "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/app" };
const POLICY = { allowedRoles: ["arn:aws:iam::111122223333:role/team/*"] };

const deps: DebugAppDeps = {
  serviceAccounts: {
    entries: () => [
      { namespace: "team", name: "app", value: { annotations: ROLE } },
      { namespace: "team", name: "default", value: { annotations: {} } },
    ],
    size: 2,
    synced: true,
    staleSeconds: () => 1.5,
  },
  namespaces: {
    entries: () => [
      { namespace: "", name: "team", value: POLICY },
      { namespace: "", name: "default", value: {} },
    ],
    size: 2,
    synced: false,
    staleSeconds: () => 3,
  },
};
const SHOWN = {
  serviceAccounts: { synced: true, staleSeconds: 1.5, known: 2, objects: { "team/app": ROLE } },
  namespaces: { synced: false, staleSeconds: 3, known: 2, objects: { team: POLICY } },
};

describe("createDebugApp", () => {
  let server: RunningServer;
  before(async () => {
    server = await listen(createDebugApp(deps), { port: 0, host: "127.0.0.1", drainMs: 0 });
  });
  after(() => server[Symbol.asyncDispose]());

  async function ask(
    path: string,
    { method = "GET", host = "localhost" } = {},
  ): Promise<{ readonly status: number; readonly body: string; readonly type: string }> {
    const { port } = server;
    const req = request({ host: "127.0.0.1", port, path, method, headers: { host }, agent: false });
    req.end();
    const [res] = await once(req, "response");
    return { status: res.statusCode, body: await text(res), type: res.headers["content-type"] };
  }

  it("shows what is known, and nothing of what has nothing to tell", async () => {
    const { status, body, type } = await ask("/debug/alpha/cache");
    assert.deepEqual([status, type], [200, "application/json; charset=utf-8"]);
    assert.deepEqual(JSON.parse(body), SHOWN);
  });

  for (const host of ["localhost", "localhost:9998", "127.0.0.1:9998", "127.0.0.2", "[::1]:9998"]) {
    it(`answers under the name ${host}`, async () => {
      assert.equal((await ask("/debug/alpha/cache", { host })).status, 200);
    });
  }

  for (const host of [
    "example.com",
    "localhost.example.com",
    "127.0.0.1.example.com:9998",
    "example.com#@localhost",
    "10.0.0.1",
    "0.0.0.0",
  ]) {
    it(`refuses the name ${JSON.stringify(host)}, to which a page may have led a browser`, async () => {
      const { status, body } = await ask("/debug/alpha/cache", { host });
      assert.equal(status, 403);
      assert.doesNotMatch(body, /role/);
    });
  }

  it("clears nothing", async () => {
    for (const method of ["GET", "POST", "PUT", "DELETE"]) {
      assert.equal((await ask("/debug/alpha/cache/clear", { method })).status, 404, method);
      if (method === "GET") continue;
      assert.equal((await ask("/debug/alpha/cache", { method })).status, 404, method);
    }
    assert.deepEqual(JSON.parse((await ask("/debug/alpha/cache")).body), SHOWN);
  });
});
