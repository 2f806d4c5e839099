import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { listen } from "../../lib/http.ts";
import { createStsExchange } from "./sts-exchange.ts";

const ASKED = {
  roleArn: "arn:aws:iam::111122223333:role/reader",
  sessionName: "team.app",
  token: "token",
  durationSeconds: 3600,
};

describe("an exchange with what is no STS", () => {
  for (const [name, error] of [
    ["two codes", "<Code>A</Code><Code>B</Code>"],
    ["two messages", "<Code>A</Code><Message>a</Message><Message>b</Message>"],
    ["two codes as of the network", "<Code>A</Code><code>a</code><code>b</code>"],
    ["no code at all", ""],
  ] as const) {
    it(`fails and never rejects, by an answer with ${name}`, async () => {
      await using server = await listen(
        (_req, res) => {
          res.writeHead(400, { "content-type": "text/xml" });
          res.end(`<ErrorResponse><Error>${error}</Error></ErrorResponse>`);
        },
        { host: "127.0.0.1", port: 0, drainMs: 0 },
      );
      using sts = createStsExchange({
        region: "eu-central-1",
        endpoint: `http://127.0.0.1:${server.port}`,
        timeoutMs: 5000,
        clock: { now: () => Date.now() },
      });
      const result = await sts.exchange(ASKED);
      assert.equal(result.status === "failed" && result.kind, "refused");
    });
  }
});
