import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, it } from "node:test";
import { listen, type RunningServer } from "../http.ts";
import { createTransport, type Transport } from "./transport.ts";

describe("Transport.request", () => {
  it("sends a body with its type and gives any status back", async () => {
    await using server = await serve((req, res) => {
      const chunks: Buffer[] = [];
      req.on("data", (chunk: Buffer) => chunks.push(chunk));
      req.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        res.statusCode = 409;
        res.setHeader("content-type", "application/json; charset=utf-8");
        res.end(JSON.stringify({ method: req.method, type: req.headers["content-type"], body }));
      });
    });
    const transport = transportTo(server);
    for (const [contentType, body, sent] of [
      [undefined, { a: 1 }, '{"a":1}'],
      ["application/merge-patch+json", { a: null }, '{"a":null}'],
      ["text/plain", "as is", "as is"],
    ] as const) {
      const answer = await transport.request({
        method: "PATCH",
        path: "/",
        contentType,
        body,
        timeoutMs: 5000,
      });
      const type = contentType ?? "application/json";
      assert.equal(answer.status, 409);
      assert.deepEqual(answer.body, { method: "PATCH", type, body: sent });
    }
  });

  it("gives what is not JSON as text and what is a kind of JSON parsed", async () => {
    await using server = await serve((req, res) => {
      const type = new URL(req.url ?? "", "http://x").searchParams.get("type") ?? "";
      res.setHeader("content-type", type).end("[1]");
    });
    const transport = transportTo(server);
    for (const [type, body] of [
      ["application/jwk-set+json", [1]],
      ["application/json;charset=utf-8", [1]],
      ["text/plain", "[1]"],
      ["application/jsonx", "[1]"],
    ] as const) {
      const path = `/?type=${encodeURIComponent(type)}`;
      assert.deepEqual((await transport.request({ path, timeoutMs: 5000 })).body, body, type);
    }
  });

  for (const [method, repeated] of [
    ["GET", true],
    ["POST", false],
  ] as const) {
    const outcome = repeated ? "repeats" : "does not repeat";
    it(`${outcome} a ${method} on a kept connection that the server has just closed`, async () => {
      const used = new WeakSet<object>();
      let requests = 0;
      await using server = await serve((req, res) => {
        requests += 1;
        if (used.has(req.socket)) req.socket.destroy();
        else res.end("ok");
        used.add(req.socket);
      });
      const transport = transportTo(server);
      const ask = () => transport.request({ method, path: "/", timeoutMs: 5000 });
      await ask();
      if (repeated) assert.equal((await ask()).body, "ok");
      else await assert.rejects(ask(), { code: "KUBERNETES_UNAVAILABLE" });
      assert.equal(requests, repeated ? 3 : 2);
    });
  }

  const secret = "query-secret";
  for (const [name, handler, reason] of [
    ["a server that never answers", () => {}, "no answer within 50 ms"],
    [
      "a body that never ends",
      (_req, res) => res.writeHead(200).write("{"),
      "no answer within 50 ms",
    ],
    ["a connection that is cut", (req) => req.socket.destroy(), "socket hang up"],
    [
      "a body that breaks off",
      (req, res) => {
        res.writeHead(200, { "content-length": "10" }).write("{");
        setImmediate(() => req.socket.destroy());
      },
      "aborted",
    ],
    [
      "JSON that is cut off",
      (_req, res) => res.setHeader("content-type", "application/json").end('{"token":"s3cr'),
      "the answer is cut off or is not JSON",
    ],
  ] as const satisfies readonly (readonly [string, RequestListener, string])[]) {
    it(`tells ${name} with method, URL and reason`, async () => {
      await using server = await serve(handler);
      const transport = transportTo(server);
      await assert.rejects(
        transport.request({
          path: `/api/v1?x=${secret}`,
          timeoutMs: reason.startsWith("no answer") ? 50 : 5000,
        }),
        (err: Error & { code?: string }) => {
          assert.equal(err.code, "KUBERNETES_UNAVAILABLE");
          assert.equal(err.message, `Cannot GET ${url(server)}/api/v1: ${reason}`);
          return true;
        },
      );
    });
  }
});

describe("Transport.stream", () => {
  it("gives the head at once and the lines as they come", async () => {
    const more = Promise.withResolvers<void>();
    await using server = await serve((_req, res) => {
      res.writeHead(200, { "x-name": "value" });
      res.write('{"a":"');
      // The first byte of a character of three.
      res.write(Buffer.from([0xe2]));
      void more.promise.then(() => res.end(Buffer.from([0x82, 0xac, 0x22, 0x7d, 0x0a])));
    });
    const transport = transportTo(server);
    const stream = await transport.stream({
      path: "/",
      signal: new AbortController().signal,
      headTimeoutMs: 5000,
    });
    assert.deepEqual([stream.status, stream.headers["x-name"]], [200, "value"]);
    more.resolve();
    assert.deepEqual(await Array.fromAsync(stream.lines), ['{"a":"€"}']);
  });

  for (const [name, handler, reason] of [
    ["a head that never comes", () => {}, "no answer within 50 ms"],
    ["silence", (_req, res) => res.writeHead(200).write("a\n"), "silent for 60 ms"],
    [
      "a cut in mid-line",
      (req, res) => {
        res.writeHead(200).write("a\nb");
        setImmediate(() => req.socket.destroy());
      },
      "aborted",
    ],
  ] as const satisfies readonly (readonly [string, RequestListener, string])[]) {
    it(`tells ${name}`, async () => {
      await using server = await serve(handler);
      const transport = transportTo(server);
      const { signal } = new AbortController();
      const headTimeoutMs = reason.startsWith("no answer") ? 50 : 5000;
      const idleTimeoutMs = reason.startsWith("silent") ? 60 : undefined;
      const message = `Cannot GET ${url(server)}/watch: ${reason}`;
      await assert.rejects(
        async () => {
          const request = { path: "/watch?x=1", signal, headTimeoutMs, idleTimeoutMs };
          await Array.fromAsync((await transport.stream(request)).lines);
        },
        { code: "KUBERNETES_UNAVAILABLE", message },
      );
    });
  }

  it("ends when its signal aborts, and takes the connection with it", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await serve((_req, res) => {
      res.on("close", closed.resolve).writeHead(200).write("a\n");
    });
    const transport = transportTo(server);
    const stop = new AbortController();
    const { lines } = await transport.stream({
      path: "/",
      signal: stop.signal,
      headTimeoutMs: 5000,
    });
    await assert.rejects(
      async () => {
        for await (const line of lines) {
          assert.equal(line, "a");
          stop.abort();
        }
      },
      { code: "KUBERNETES_UNAVAILABLE", message: /cancelled/ },
    );
    await closed.promise;
  });

  it("closes the connection when its reader leaves", async () => {
    const closed = Promise.withResolvers<void>();
    await using server = await serve((_req, res) => {
      res.on("close", closed.resolve).writeHead(200).write("a\n");
    });
    const transport = transportTo(server);
    const { signal } = new AbortController();
    const { lines } = await transport.stream({ path: "/", signal, headTimeoutMs: 5000 });
    for await (const line of lines) {
      assert.equal(line, "a");
      break;
    }
    await closed.promise;
  });
});

function serve(handler: RequestListener): Promise<RunningServer> {
  return listen(handler, { port: 0, host: "127.0.0.1", drainMs: 100 });
}

function url(server: RunningServer): string {
  return `http://127.0.0.1:${server.port}`;
}

function transportTo(server: RunningServer): Transport {
  return createTransport(() => ({ url: url(server), authorize: async () => {} }));
}
