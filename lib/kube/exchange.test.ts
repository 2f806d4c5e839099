import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listen } from "../http.ts";
import { headersOf, readBody, send } from "./exchange.ts";

describe("readBody", () => {
  for (const [size, accepted] of [
    [100_000, true],
    [100_001, false],
  ] as const) {
    it(`${accepted ? "reads" : "refuses"} ${size} bytes where 100000 are allowed`, async () => {
      await using server = await listen((_req, res) => res.end("x".repeat(size)), {
        port: 0,
        host: "127.0.0.1",
        drainMs: 0,
      });
      const url = new URL(`http://127.0.0.1:${server.port}/`);
      const { signal } = new AbortController();
      const response = await send({ url, options: { agent: false }, body: undefined }, signal);
      const reading = readBody(response, 100_000);
      if (accepted) assert.equal((await reading).length, size);
      else await assert.rejects(reading, /the answer is larger than 100000 bytes/);
    });
  }
});

describe("headersOf", () => {
  it("joins repeated headers", async () => {
    await using server = await listen(
      (_req, res) => res.setHeader("Set-Cookie", ["a=1", "b=2"]).setHeader("X-One", "1").end(),
      { port: 0, host: "127.0.0.1", drainMs: 0 },
    );
    const url = new URL(`http://127.0.0.1:${server.port}/`);
    const { signal } = new AbortController();
    const response = await send({ url, options: { agent: false }, body: undefined }, signal);
    const headers = headersOf(response);
    response.resume();
    assert.deepEqual([headers["set-cookie"], headers["x-one"]], ["a=1, b=2", "1"]);
  });
});

describe("send", () => {
  it("sends nothing with a signal that has aborted", async () => {
    let requests = 0;
    await using server = await listen(
      (_req, res) => {
        requests += 1;
        res.end();
      },
      { port: 0, host: "127.0.0.1", drainMs: 0 },
    );
    const url = new URL(`http://127.0.0.1:${server.port}/`);
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(send({ url, options: {}, body: undefined }, signal), /enough/);
    assert.equal(requests, 0);
  });
});
