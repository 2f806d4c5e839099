import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, it } from "node:test";
import { listen } from "../../lib/http.ts";
import { readInstanceAccount } from "./instance-identity.ts";

const DOCUMENT = JSON.stringify({ accountId: "111122223333", region: "cn-north-1", version: "x" });

/** The two calls of IMDSv2, as strict as the real one about method, header and token. */
function metadataService(document: string): RequestListener {
  return (req, res) => {
    const { method, url, headers } = req;
    const ttl = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]);
    if (url === "/latest/api/token") {
      const isGood = method === "PUT" && ttl >= 1 && ttl <= 21_600;
      res.writeHead(isGood ? 200 : 400).end(isGood ? "t0ken" : "");
      return;
    }
    const isKnown = method === "GET" && url === "/latest/dynamic/instance-identity/document";
    const isAllowed = headers["x-aws-ec2-metadata-token"] === "t0ken";
    res.writeHead(isKnown ? (isAllowed ? 200 : 401) : 404);
    res.end(isKnown && isAllowed ? document : "");
  };
}

async function readFrom(
  handler: RequestListener,
  env: Readonly<Record<string, string>> = {},
): Promise<unknown> {
  await using server = await listen(handler, { port: 0, host: "127.0.0.1", drainMs: 0 });
  const endpoint = `http://127.0.0.1:${server.port}`;
  return await readInstanceAccount({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint, ...env }, 2000);
}

describe("readInstanceAccount", () => {
  it("reads account and partition with a session token", async () => {
    assert.deepEqual(await readFrom(metadataService(DOCUMENT)), {
      accountId: "111122223333",
      partition: "aws-cn",
    });
  });

  for (const [name, handler, wanted] of [
    ["a service that refuses", (_, res) => void res.writeHead(403).end(), /answered 403/],
    ["no JSON", metadataService("<html>"), /is not valid JSON/],
    ["no account", metadataService('{"region":"eu-west-1"}'), /it names no account/],
    ["a short account", metadataService('{"accountId":"1","region":"a"}'), /it names no account/],
    ["a cut connection", (req) => void req.socket.destroy(), /other side closed/],
  ] as const satisfies readonly (readonly [string, RequestListener, RegExp])[]) {
    it(`names the way out for ${name}`, async () => {
      await assert.rejects(readFrom(handler), { code: "METADATA_UNAVAILABLE", message: wanted });
      await assert.rejects(readFrom(handler), { message: /give --account-id/ });
    });
  }

  it("asks nobody when AWS_EC2_METADATA_DISABLED is true", async () => {
    let asked = 0;
    const handler: RequestListener = (_req, res) => void ((asked += 1), res.end());
    await assert.rejects(readFrom(handler, { AWS_EC2_METADATA_DISABLED: "TRUE" }), {
      code: "METADATA_UNAVAILABLE",
      message: /AWS_EC2_METADATA_DISABLED is true/,
    });
    assert.equal(asked, 0);
  });

  it("refuses an endpoint that is no URL", async () => {
    await assert.rejects(
      readInstanceAccount({ AWS_EC2_METADATA_SERVICE_ENDPOINT: "localhost:x" }, 10),
      { code: "METADATA_UNAVAILABLE", message: /expected a URL/ },
    );
  });
});
