import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, get, type RequestListener, type ServerResponse } from "node:http";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { listen } from "./http.ts";

const LOCAL = { port: 0, host: "127.0.0.1" } as const;

/** Asks over and over, until a new connection is refused. */
async function askUntilRefused(agent: Agent, port: number, answered: () => void): Promise<void> {
  for (;;) {
    try {
      const [response] = await once(get({ agent, host: LOCAL.host, port }), "response");
      await once(response.resume(), "end");
      answered();
    } catch (err) {
      assert.ok(err instanceof Error && "syscall" in err);
      assert.equal(err.syscall, "connect", `lost a request: ${err.message}`);
      return;
    }
  }
}

describe("a server that is closed", () => {
  it("answers all that comes on the connections it has", async () => {
    const server = await listen((_req, res) => res.end("ok"), { ...LOCAL, drainMs: 10_000 });
    const agent = new Agent({ keepAlive: true });
    const warm = Promise.withResolvers<void>();
    let answers = 0;
    const clients = Array.from({ length: 8 }, () =>
      askUntilRefused(agent, server.port, () => {
        answers += 1;
        if (answers === 100) warm.resolve();
      }),
    );
    await warm.promise;
    await server[Symbol.asyncDispose]();
    await Promise.all(clients);
  });

  it("ends the connection with the answer to an open request", async () => {
    const asked = Promise.withResolvers<ServerResponse>();
    const server = await listen((_req, res) => asked.resolve(res), { ...LOCAL, drainMs: 10_000 });
    const agent = new Agent({ keepAlive: true });
    const request = get({ agent, host: LOCAL.host, port: server.port });
    const open = await asked.promise;
    const closed = server[Symbol.asyncDispose]();
    await turn();
    open.end("late");
    const [response] = await once(request, "response");
    assert.equal(response.headers.connection, "close");
    response.resume();
    await closed;
  });

  it("does not wait for idle connections, and cuts a request that is open for too long", async () => {
    const asked = Promise.withResolvers<void>();
    const handler: RequestListener = ({ url }, res) => {
      if (url === "/stuck") asked.resolve();
      else res.end("ok");
    };
    const server = await listen(handler, { ...LOCAL, drainMs: 20 });
    const agent = new Agent({ keepAlive: true });
    const to = { agent, host: LOCAL.host, port: server.port };
    const [idle] = await once(get(to), "response");
    await once(idle.resume(), "end");
    const stuck = get({ ...to, path: "/stuck" });
    const cut = assert.rejects(once(stuck, "response"), { code: "ECONNRESET" });
    await asked.promise;
    await server[Symbol.asyncDispose]();
    await cut;
  });
});
