import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runNatives } from "../test/fakes/run-natives.ts";

/** Tells which objects of a request have fields at fixed places, after a collection behind some. */
const PROGRAM = `
  import { once } from "node:events";
  import { createServer, get } from "node:http";
  const [module, before] = process.argv.slice(1);
  if (module !== "") await (await import(module)).settleHttpClasses();
  let seen;
  const server = createServer((req, res) => {
    res.end("x");
    seen = {
      response: %HasFastProperties(res),
      request: %HasFastProperties(req),
    };
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const ask = async () => {
    const request = get({ host: "127.0.0.1", port: server.address().port, agent: false });
    const [response] = await once(request, "response");
    await once(response.resume(), "close");
  };
  for (let i = 0; i < Number(before); i += 1) await ask();
  // Nothing of them is on the stack any more.
  await new Promise((resolve) => setTimeout(resolve, 20));
  gc();
  for (let i = 0; i < 10; i += 1) await ask();
  console.log(JSON.stringify(seen));
  server.close();
`;

const MODULE = new URL("settle-http-classes.ts", import.meta.url).href;
const FAST = { response: true, request: true };

describe("objects of HTTP after a collection of garbage", () => {
  // They are asked for in the same process, where each makes two messages and one response.
  const slowWithout = new Map([
    [3, { ...FAST, request: false }],
    [6, { ...FAST, response: false }],
  ]);
  for (const [requests, slow] of slowWithout) {
    it(`behind ${requests} requests are slow from then on, unless the classes are settled`, async () => {
      assert.deepEqual(await runNatives(PROGRAM, ["", String(requests)]), slow);
      assert.deepEqual(await runNatives(PROGRAM, [MODULE, String(requests)]), FAST);
    });
  }
});
