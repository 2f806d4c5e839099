import assert from "node:assert/strict";
import type { RequestListener } from "node:http";
import { describe, it } from "node:test";
import { listen } from "../../lib/http.ts";
import { instanceMetadata } from "../../lib/instance-metadata.ts";
import { discoverRole } from "./discover-role.ts";

/** The metadata service of an instance, as strict as the real one about method, header and token. */
function metadataService(leaves: Readonly<Record<string, string>>): RequestListener {
  return (req, res) => {
    const { method, url = "", headers } = req;
    const isToken = method === "PUT" && url === "/latest/api/token";
    const hasTtl = Number(headers["x-aws-ec2-metadata-token-ttl-seconds"]) >= 1;
    const body = method === "GET" ? leaves[url.replace("/latest/meta-data/iam/", "")] : undefined;
    if (isToken) res.writeHead(hasTtl ? 200 : 400).end(hasTtl ? "t0ken" : "");
    else if (headers["x-aws-ec2-metadata-token"] !== "t0ken") res.writeHead(401).end();
    else res.writeHead(body === undefined ? 404 : 200).end(body);
  };
}

async function discover(leaves: Readonly<Record<string, string>>): Promise<unknown> {
  await using server = await listen(metadataService(leaves), {
    port: 0,
    host: "127.0.0.1",
    drainMs: 0,
  });
  const endpoint = `http://127.0.0.1:${server.port}`;
  return await discoverRole(
    instanceMetadata({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint }, 5000),
  );
}

const info = (InstanceProfileArn: string): string =>
  JSON.stringify({ Code: "Success", InstanceProfileArn, InstanceProfileId: "AIPAEXAMPLE" });

describe("discoverRole", () => {
  it("tells account and partition of the profile, without its path, and the role", async () => {
    const arn = "arn:aws-cn:iam::111122223333:instance-profile/team/nodes";
    assert.deepEqual(await discover({ info: info(arn), "security-credentials/": "node-role" }), {
      baseRoleArn: "arn:aws-cn:iam::111122223333:role/",
      roleName: "node-role",
    });
  });

  const arn = "arn:aws:iam::111122223333:instance-profile/nodes";
  for (const [name, leaves, message] of [
    ["no role", {}, /answered 404; give --base-role-arn/],
    ["no JSON", { info: "<html>" }, /is not valid JSON/],
    ["another ARN", { info: info("arn:aws:iam::1:user/x") }, /it names no instance profile/],
    ["an empty list", { info: info(arn), "security-credentials/": "" }, /has no role/],
  ] as const) {
    it(`says so of a machine with ${name}`, async () => {
      await assert.rejects(discover(leaves), { code: "METADATA_UNAVAILABLE", message });
    });
  }
});
