import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { ask, askRaw } from "../test/fakes/ask.ts";
import { until } from "../test/fakes/until.ts";
import { CONNECTIONS_PER_ADDRESS } from "./connection-limit.ts";
import { servePods } from "./server.ts";

const HOST = "127.0.0.1";

async function start(): Promise<{ port: number; refused: () => number } & AsyncDisposable> {
  let refused = 0;
  const server = await servePods((_req, res) => res.end("ok"), {
    port: 0,
    host: HOST,
    drainMs: 100,
    onRefusedConnection: () => (refused += 1),
  });
  return {
    port: server.port,
    refused: () => refused,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

describe("a server for pods", () => {
  it("gives each address so many connections, and others theirs", async () => {
    await using server = await start();
    const { port } = server;
    const sockets: Socket[] = [];
    const open = async (localAddress: string): Promise<Socket> => {
      const socket = connect({ host: HOST, port, localAddress });
      sockets.push(socket);
      socket.on("error", () => {});
      await once(socket, "connect");
      return socket;
    };
    try {
      for (let i = 0; i < CONNECTIONS_PER_ADDRESS; i += 1) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other, to know the last
        await open("127.0.0.2");
      }
      const beyond = await open("127.0.0.2");
      if (!beyond.destroyed) await once(beyond, "close");
      await until("it is counted", () => server.refused() === 1);
      assert.equal((await ask({ host: HOST, port, from: "127.0.0.3", path: "/" })).status, 200);

      sockets[0]?.destroy();
      const again = async (): Promise<boolean> => {
        try {
          return (await ask({ host: HOST, port, from: "127.0.0.2", path: "/" })).status === 200;
        } catch {
          return false;
        }
      };
      await until("there is room again", again);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  it("does not wait for the rest of a head, and answers others meanwhile", async () => {
    await using server = await start();
    const { port } = server;
    const slow = askRaw({ host: HOST, port }, "GET / HTTP/1.1\r\nHost: x\r\n");
    assert.equal((await ask({ host: HOST, port, path: "/" })).status, 200);
    assert.match(await slow, /^HTTP\/1\.1 408 /);
  });

  it("does not wait for who says nothing", async () => {
    await using server = await start();
    assert.match(await askRaw({ host: HOST, port: server.port }, ""), /^HTTP\/1\.1 408 /);
  });

  it("is no proxy, and says so", async () => {
    await using server = await start();
    const text = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n";
    assert.match(await askRaw({ host: HOST, port: server.port }, text), /^HTTP\/1\.1 405 /);
  });

  it("refuses heads of more than 16 KiB", async () => {
    await using server = await start();
    const headers = { "x-long": "x".repeat(17_000) };
    const reply = await ask({ host: HOST, port: server.port, path: "/", headers });
    assert.equal(reply.status, 431);
  });
});
