import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import {
  Agent,
  get,
  request,
  type ClientRequest,
  type ClientRequestArgs,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { Agent as TlsAgent, request as tlsRequest, type RequestOptions } from "node:https";
import { connect as tcpConnect } from "node:net";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { connect as tlsConnect, TLSSocket } from "node:tls";
import { createAuthority, issueServingCertificate } from "./certificates.ts";
import { listen } from "./http.ts";

const now = Date.now();
const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 };
const authority = await createAuthority("test authority", validity);
const first = await issueServingCertificate(authority, ["localhost"], validity);
const second = await issueServingCertificate(authority, ["localhost"], validity);

const LOCAL = { port: 0, host: "127.0.0.1" } as const;

describe("listen", () => {
  it("binds the address it is given and tells its port", async () => {
    await using server = await listen((_req, res) => res.end("ok"), { ...LOCAL, drainMs: 0 });
    const answer = await ask({ port: server.port, agent: false });
    assert.equal(answer.status, 200);
  });

  it("tells that a port is taken", async () => {
    await using server = await listen(() => {}, { ...LOCAL, drainMs: 0 });
    await assert.rejects(
      listen(() => {}, { ...LOCAL, port: server.port, drainMs: 0 }),
      {
        code: "EADDRINUSE",
      },
    );
  });

  for (const [limit, options] of [
    [16 * 1024, {}],
    [8 * 1024, { maxHeaderBytes: 8 * 1024 }],
  ] as const) {
    for (const [bytes, status] of [
      [limit - 512, 200],
      [limit + 1, 431],
    ] as const) {
      it(`answers ${status} to a header of ${bytes} bytes where ${limit} are allowed`, async () => {
        const settings = { ...LOCAL, drainMs: 0, ...options };
        await using server = await listen((_req, res) => res.end("ok"), settings);
        const headers = { "x-large": "x".repeat(bytes) };
        const answer = await ask({ port: server.port, agent: false, headers });
        assert.equal(answer.status, status);
      });
    }
  }

  for (const [minTlsVersion, version, accepted] of [
    [undefined, "TLSv1.2", true],
    ["TLSv1.3", "TLSv1.3", true],
    ["TLSv1.3", "TLSv1.2", false],
    [undefined, "TLSv1.1", false],
  ] as const) {
    const outcome = accepted ? "takes" : "refuses";
    it(`${outcome} ${version} where ${minTlsVersion ?? "nothing"} is the floor`, async () => {
      const settings = { ...LOCAL, drainMs: 0, keyPair: first, minTlsVersion };
      await using server = await listen((_req, res) => res.end("ok"), settings);
      const socket = tlsConnect({
        host: "127.0.0.1",
        port: server.port,
        servername: "localhost",
        ca: authority.cert,
        minVersion: version,
        maxVersion: version,
      });
      if (accepted) await once(socket, "secureConnect");
      else await assert.rejects(once(socket, "secureConnect"));
      socket.destroy();
    });
  }
});

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
    const sent = get({ agent, host: LOCAL.host, port: server.port });
    const open = await asked.promise;
    const closed = server[Symbol.asyncDispose]();
    await turn();
    open.end("late");
    const [response] = await once(sent, "response");
    assert.equal(response.headers.connection, "close");
    response.resume();
    await closed;
  });

  it("sends what was ready behind an open request on the same connection", async () => {
    const asked = Promise.withResolvers<ServerResponse>();
    const handler: RequestListener = ({ url }, res) => {
      if (url === "/slow") asked.resolve(res);
      else res.end("quick");
    };
    const server = await listen(handler, { ...LOCAL, drainMs: 10_000 });
    const socket = tcpConnect(server.port, LOCAL.host);
    for (const path of ["/slow", "/quick"]) socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const open = await asked.promise;
    const closed = server[Symbol.asyncDispose]();
    await turn();
    open.end("slow");
    assert.match(await text(socket), /slow[^]*HTTP\/1\.1 200[^]*quick/);
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

  for (const keyPair of [undefined, first]) {
    const kind = keyPair === undefined ? "plain" : "TLS";
    it(`cuts a ${kind} connection that has never said anything`, async () => {
      const server = await listen(() => {}, { ...LOCAL, drainMs: 20, keyPair });
      const socket = tcpConnect(server.port, "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      await server[Symbol.asyncDispose]();
      socket.destroy();
    });
  }

  it("ends once, however often it is told", async () => {
    const server = await listen(() => {}, { ...LOCAL, drainMs: 0 });
    await Promise.all([server[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
    await server[Symbol.asyncDispose]();
  });
});

describe("RunningServer.setCertificate", () => {
  it("serves the new pair to new connections, and open ones go on", async () => {
    const settings = { ...LOCAL, drainMs: 0, keyPair: first };
    await using server = await listen((_req, res) => res.end("ok"), settings);
    const kept = new TlsAgent({ keepAlive: true, maxSockets: 1 });
    const options = {
      port: server.port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: authority.cert,
    };
    const before = await askOverTls({ ...options, agent: kept });
    server.setCertificate(second);
    const same = await askOverTls({ ...options, agent: kept });
    const fresh = await askOverTls({ ...options, agent: false });
    kept.destroy();
    assert.deepEqual([before.reused, same.reused, fresh.reused], [false, true, false]);
    assert.deepEqual([before.serial, fresh.serial], [serialOf(first.cert), serialOf(second.cert)]);
  });

  it("does not let an open request break off", async () => {
    const open = Promise.withResolvers<() => void>();
    const settings = { ...LOCAL, drainMs: 0, keyPair: first };
    await using server = await listen(
      (_req, res) => open.resolve(() => res.end("finished")),
      settings,
    );
    const answer = askOverTls({
      port: server.port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: authority.cert,
      agent: false,
    });
    const finish = await open.promise;
    server.setCertificate(second);
    finish();
    assert.equal((await answer).body, "finished");
  });

  it("throws on a pair that does not match, and goes on with the old one", async () => {
    const settings = { ...LOCAL, drainMs: 0, keyPair: first };
    await using server = await listen((_req, res) => res.end("ok"), settings);
    assert.throws(() => server.setCertificate({ cert: second.cert, key: first.key }));
    const answer = await askOverTls({
      port: server.port,
      host: "127.0.0.1",
      servername: "localhost",
      ca: authority.cert,
      agent: false,
    });
    assert.equal(answer.serial, serialOf(first.cert));
  });

  it("refuses a server without TLS", async () => {
    await using server = await listen(() => {}, { ...LOCAL, drainMs: 0 });
    assert.throws(() => server.setCertificate(first), /Expected a TLS server/);
  });
});

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
  /** Whether it came over a connection that was used before. */
  readonly reused: boolean;
  /** Of the certificate that was presented. */
  readonly serial: string | undefined;
}

function ask(options: ClientRequestArgs): Promise<Answer> {
  return answerTo(request({ host: "127.0.0.1", ...options }));
}

function askOverTls(options: RequestOptions): Promise<Answer> {
  return answerTo(tlsRequest(options));
}

async function answerTo(sent: ClientRequest): Promise<Answer> {
  sent.end();
  const [response]: IncomingMessage[] = await once(sent, "response");
  assert.ok(response !== undefined);
  const { socket } = response;
  const serial =
    socket instanceof TLSSocket ? socket.getPeerX509Certificate()?.serialNumber : undefined;
  return {
    status: response.statusCode,
    body: await text(response),
    reused: sent.reusedSocket,
    serial,
  };
}

function serialOf(cert: string): string {
  return new X509Certificate(cert).serialNumber;
}

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
