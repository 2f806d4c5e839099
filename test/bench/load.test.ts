import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RequestListener } from "node:http";
import { listen } from "../../lib/http.ts";
import { hasShape, quantile, runLoad, wholeAnswerOf, type LoadResult } from "./load.ts";

/** A load of two connections on a server. */
async function load(handler: RequestListener, hasOwnCore = false): Promise<LoadResult> {
  const host = "127.0.0.1";
  await using server = await listen(handler, { port: 0, host, drainMs: 0 });
  const job = { host, port: server.port, method: "GET", path: "/", callers: [{ headers: {} }] };
  const bounds = { connections: 2, seconds: 0.2, maxRequests: 1000 };
  return await runLoad({ ...job, ...bounds, hasOwnCore });
}

describe("runLoad", () => {
  it("tells how long answers took, the first of each connection apart", async () => {
    const known = new Set<unknown>();
    const result = await load((req, res) => {
      const answer = (): unknown => res.writeHead(200, { "content-length": 2 }).end("ok");
      if (known.has(req.socket)) answer();
      else setTimeout(answer, 150);
      known.add(req.socket);
    });
    assert.deepEqual(result.answers, ["ok"]);
    assert.ok(result.requests > 10, `${result.requests} requests`);
    assert.ok(result.slowestFirstMs >= 140, `first ${result.slowestFirstMs} ms`);
    assert.ok(result.p50Ms < 100, `p50 ${result.p50Ms} ms`);
  });

  for (const hasOwnCore of [true, false]) {
    it(
      hasOwnCore ? "never sleeps on a core of its own" : "sleeps on a core that it shares",
      async () => {
        const before = performance.eventLoopUtilization();
        await load((_req, res) => {
          setTimeout(() => res.writeHead(200, { "content-length": 2 }).end("ok"), 50);
        }, hasOwnCore);
        const { utilization } = performance.eventLoopUtilization(before);
        assert.equal(utilization > 0.6, hasOwnCore, `${utilization}`);
      },
    );
  }

  it("fails when a connection ends that waits for the first answers of others", async () => {
    let asked = 0;
    const result = load((_req, res) => {
      asked += 1;
      const connection = asked === 1 ? "close" : "keep-alive";
      const answer = (): unknown =>
        res.writeHead(200, { "content-length": 2, connection }).end("ok");
      setTimeout(answer, asked === 1 ? 0 : 100);
    });
    await assert.rejects(result, /The server closed a connection/);
  });
});

describe("wholeAnswerOf", () => {
  const answer = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello";

  it("gives the body once it is there as a whole", () => {
    for (let length = 0; length < answer.length; length += 1) {
      assert.equal(wholeAnswerOf(Buffer.from(answer.slice(0, length))), undefined, `${length}`);
    }
    assert.equal(wholeAnswerOf(Buffer.from(answer))?.toString(), "hello");
  });

  for (const [name, text, problem] of [
    ["another status", answer.replace("200 OK", "500 No"), /Expected 200/],
    ["no length", answer.replace("Content-Length", "X"), /Expected 200/],
    ["more than one answer", `${answer}H`, /1 bytes too many/],
  ] as const) {
    it(`throws on ${name}`, () => {
      assert.throws(() => wholeAnswerOf(Buffer.from(text)), problem);
    });
  }
});

describe("hasShape", () => {
  const answer = "HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 5\r\n\r\nhello";
  const shape = { length: answer.length, bodyStart: answer.length - 5 };

  for (const [name, text, isWhole] of [
    ["the same answer", answer, true],
    ["another body of that length", answer.replace("hello", "other"), true],
    ["a part of one", answer.slice(0, -1), false],
    ["another status", answer.replace("200 OK", "503 No"), false],
    [
      "a head that is longer and a body that is shorter",
      answer.replace("x", "xx").slice(0, -1),
      false,
    ],
  ] as const) {
    it(`${isWhole ? "takes" : "does not take"} ${name} for whole`, () => {
      assert.equal(hasShape(Buffer.from(text), shape), isWhole);
    });
  }

  it("takes nothing for whole before there was an answer", () => {
    assert.equal(hasShape(Buffer.alloc(0), { length: 0, bodyStart: 0 }), false);
  });
});

describe("quantile", () => {
  for (const [share, value] of [
    [0.5, 50],
    [0.99, 99],
    [1, 100],
    [0, 1],
  ] as const) {
    it(`${share} of 1 to 100 is ${value}`, () => {
      const values = Array.from({ length: 100 }, (_, i) => i + 1);
      assert.equal(quantile(values, share), value);
    });
  }
});
