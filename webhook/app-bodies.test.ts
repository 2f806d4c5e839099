import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpsRequest } from "node:https";
import { connect as tlsConnect } from "node:tls";
import { describe, it } from "node:test";
import {
  assertAlive,
  POD,
  REVIEW_JSON,
  ROLE_ARN,
  serveWebhook,
} from "../test/fakes/served-webhook.ts";
import { until } from "../test/fakes/until.ts";
import { BODY_LIMIT_BYTES } from "./app.ts";

describe("POST /mutate", () => {
  for (const contentType of [
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "Application/JSON",
  ]) {
    it(`takes ${contentType}`, async () => {
      await using served = await serveWebhook();
      const headers = { "content-type": contentType };
      assert.equal((await served.send({ headers, body: REVIEW_JSON })).status, 200);
    });
  }

  for (const headers of [
    {},
    { "content-type": "" },
    { "content-type": "text/plain" },
    { "content-type": "application/jsonp" },
    { "content-type": "application/yaml" },
    { "content-type": "text/plain; application/json" },
  ]) {
    it(`answers 415 to the type ${JSON.stringify(headers)}`, async () => {
      await using served = await serveWebhook();
      const answer = await served.send({ headers, body: REVIEW_JSON });
      assert.equal(answer.status, 415);
      assert.equal(answer.body, "Invalid Content-Type, expected `application/json`\n");
      assert.equal(answer.headers["content-type"], "text/plain; charset=utf-8");
      await assertAlive(served);
    });
  }

  for (const [name, body, response] of [
    ["an empty body", "", { uid: "", message: "bad content" }],
    ["null", "null", { uid: "", message: "bad content" }],
    ["{}", "{}", { uid: "", message: "bad content" }],
    ["a null request", '{"request":null}', { uid: "", message: "bad content" }],
    ["a bare pod", JSON.stringify(POD), { uid: "", message: "bad content" }],
    [
      "cut-off JSON",
      REVIEW_JSON.slice(0, -1),
      {
        uid: "",
        message: `couldn't get version/kind; json parse error: the body of ${REVIEW_JSON.length - 1} characters is no JSON`,
      },
    ],
    [
      "no pod",
      '{"request":{"uid":"u-2","object":5}}',
      {
        uid: "u-2",
        message:
          "Cannot read the object as a Pod: the object: Invalid input: expected object, received number",
      },
    ],
  ] as const) {
    it(`answers 200 and does not allow ${name}, and lives`, async () => {
      await using served = await serveWebhook();
      const answer = await served.send({ body });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], "application/json");
      const { uid, message } = response;
      assert.deepEqual(JSON.parse(answer.body), {
        response: { uid, allowed: false, status: { metadata: {}, message } },
      });
      await assertAlive(served);
    });
  }

  for (const [bytes, status] of [
    [BODY_LIMIT_BYTES, 200],
    [BODY_LIMIT_BYTES + 1, 413],
    [4 * 1024 * 1024, 413],
    [4 * BODY_LIMIT_BYTES, 413],
  ] as const) {
    it(`answers ${status} to ${bytes} bytes, and lives`, async () => {
      await using served = await serveWebhook();
      const answer = await served.send({ body: REVIEW_JSON.padEnd(bytes) });
      assert.equal(answer.status, status);
      if (status === 413) {
        assert.match(answer.body, /larger than 3145728 bytes/);
        assert.match(String(answer.headers["content-type"]), /^text\/plain/);
      }
      await assertAlive(served);
    });
  }

  it("does not read a body without end to its end, and lives", async () => {
    await using served = await serveWebhook();
    const { host, port, ca } = { host: "127.0.0.1", port: served.port, ca: served.ca };
    const req = httpsRequest({ host, port, ca, method: "POST", path: "/mutate", agent: false });
    req.setHeader("content-type", "application/json");
    // The server closes while more is being sent, which is what this is about.
    req.on("error", () => {});
    const chunk = Buffer.alloc(1024 * 1024, " ");
    let closed = false;
    req.on("close", () => (closed = true));
    req.on("response", (res) => res.resume());
    const feed = (): void => void (closed || req.write(chunk, feed));
    feed();
    await until("the server closes the connection", () => closed);
    await assertAlive(served);
  });

  it("lives when a client goes away in the middle of a body", async () => {
    await using served = await serveWebhook();
    const socket = tlsConnect({ host: "127.0.0.1", port: served.port, ca: served.ca });
    await once(socket, "secureConnect");
    const head = "POST /mutate HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    socket.write(`${head}Content-Length: 1000\r\n\r\n{"request":`);
    socket.end();
    socket.resume();
    await once(socket, "close");
    await until("it was refused", () => served.log.length > 0);
    assert.match(String(served.log[0]?.["reason"]), /its body is cut off/);
    await assertAlive(served);
  });

  it("answers a bare 500 when something unforeseen is thrown, and lives", async () => {
    let broken = true;
    await using served = await serveWebhook({
      stateOf: async () => {
        if (broken) throw new Error("secret detail");
        return { status: "found", annotations: { "eks.amazonaws.com/role-arn": ROLE_ARN } };
      },
    });
    const answer = await served.send({ body: REVIEW_JSON });
    assert.deepEqual([answer.status, answer.body], [500, "internal error\n"]);
    broken = false;
    await assertAlive(served);
  });
});
