import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Writable } from "node:stream";
import { AppError } from "./errors.ts";
import { createLogger, type LogLevel } from "./log.ts";

const SECRET = "s3cret-value";

function logInto(level: LogLevel = "debug"): {
  log: ReturnType<typeof createLogger>;
  text: () => string;
} {
  const chunks: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return {
    log: createLogger({ level, service: "test" }, destination),
    text: () => chunks.join(""),
  };
}

describe("createLogger", () => {
  it("writes one JSON line for each message, with the service and the fields", () => {
    const { log, text } = logInto();
    log.info({ uid: "u-1", ops: 4 }, "Reviewed pod");
    log.warn("Draining");
    const [first, second, ...others] = text().trimEnd().split("\n");
    const { time, ...line } = JSON.parse(first ?? "") as Record<string, unknown>;
    assert.equal(typeof time, "number");
    assert.deepEqual(line, {
      level: 30,
      service: "test",
      uid: "u-1",
      ops: 4,
      msg: "Reviewed pod",
    });
    assert.match(second ?? "", /"level":40.*"msg":"Draining"/);
    assert.deepEqual(others, []);
  });

  it("leaves out what is below its level", () => {
    const { log, text } = logInto("warn");
    log.info("Not told");
    log.debug("Not told");
    assert.equal(text(), "");
  });

  it("tells an error with its code and causes", () => {
    const { log, text } = logInto();
    const cause = new Error("no route");
    log.error({ err: new AppError("KUBERNETES_UNAVAILABLE", 503, "Cannot ask", { cause }) }, "No");
    const { err } = JSON.parse(text()) as { err: { code: string; message: string; stack: string } };
    assert.deepEqual([err.code, err.message], ["KUBERNETES_UNAVAILABLE", "Cannot ask: no route"]);
    assert.match(err.stack, /caused by: Error: no route/);
  });

  it("changes nothing else, and not what it is given", () => {
    const { log, text } = logInto();
    const inner = { token: SECRET, uid: "u-1", at: new Date(0) };
    log.info({ inner, list: [1, null], none: undefined }, "Told");
    const { time: _time, ...line } = JSON.parse(text()) as Record<string, unknown>;
    assert.deepEqual(line, {
      level: 30,
      service: "test",
      inner: { token: "[Redacted]", uid: "u-1", at: "1970-01-01T00:00:00.000Z" },
      list: [1, null],
      msg: "Told",
    });
    assert.equal(inner.token, SECRET);
  });

  for (const name of [
    "authorization",
    "Authorization",
    "token",
    "Token",
    "webIdentityToken",
    "WebIdentityToken",
    "secretAccessKey",
    "SecretAccessKey",
    "sessionToken",
    "SessionToken",
    "x-amz-security-token",
    "x-aws-ec2-metadata-token",
  ]) {
    it(`never writes ${name} that a child is bound to`, () => {
      const { log, text } = logInto();
      log.child({ [name]: SECRET }).error("Failed");
      assert.equal((JSON.parse(text()) as Record<string, unknown>)[name], "[Redacted]");
    });

    for (const [where, fields] of [
      ["a field", { [name]: SECRET }],
      ["an object", { request: { [name]: SECRET } }],
      ["headers of an object", { request: { headers: { [name]: SECRET } } }],
      ["an object in a list", { requests: [{ [name]: SECRET }] }],
      ["an error under another name", { cause: Object.assign(new Error("x"), { [name]: SECRET }) }],
      ["headers of an error", { err: Object.assign(new Error("x"), { h: { [name]: SECRET } }) }],
      ["an error", { err: Object.assign(new Error("failed"), { [name]: SECRET }) }],
    ] as const) {
      it(`never writes ${name} of ${where}`, () => {
        const { log, text } = logInto();
        log.error(fields, "Failed");
        log.child({ request: 1 }).error(fields, "Failed");
        assert.ok(!text().includes(SECRET), text());
        assert.equal(text().split("[Redacted]").length - 1, 2);
      });
    }
  }
});
