import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { listen } from "../../lib/http.ts";
import { nodeCredentialsOf } from "./node-credentials.ts";

describe("nodeCredentialsOf", () => {
  it("takes the keys of the environment first", async () => {
    const env = {
      AWS_ACCESS_KEY_ID: "AKIA",
      AWS_SECRET_ACCESS_KEY: "secret",
      AWS_SESSION_TOKEN: "",
      AWS_PROFILE: "other",
    };
    assert.deepEqual(await nodeCredentialsOf(env)(), {
      accessKeyId: "AKIA",
      secretAccessKey: "secret",
      sessionToken: undefined,
    });
  });

  it("takes those of the profile that is named", async () => {
    const folder = await mkdtemp(join(tmpdir(), "node-credentials-"));
    try {
      const file = join(folder, "credentials");
      const text = [
        "[default]",
        "aws_access_key_id = DEFAULT",
        "aws_secret_access_key = a=b",
        "",
        "[ node ]",
        "aws_access_key_id=NODE",
        "aws_secret_access_key=c",
        "aws_session_token=d",
        "[empty]",
        "",
      ].join("\r\n");
      await writeFile(file, text);
      const env = { AWS_SHARED_CREDENTIALS_FILE: file };
      assert.deepEqual(await nodeCredentialsOf(env)(), {
        accessKeyId: "DEFAULT",
        secretAccessKey: "a=b",
        sessionToken: undefined,
      });
      assert.deepEqual(await nodeCredentialsOf({ ...env, AWS_PROFILE: "node" })(), {
        accessKeyId: "NODE",
        secretAccessKey: "c",
        sessionToken: "d",
      });
      await assert.rejects(nodeCredentialsOf({ ...env, AWS_PROFILE: "empty" })(), {
        message: `profile "empty" of ${file} has no keys`,
      });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("asks the metadata service that is named, with a session token", async () => {
    const asked: string[] = [];
    const document = {
      AccessKeyId: "ASIA",
      SecretAccessKey: "secret",
      Token: "token",
      Expiration: "2026-01-01T01:00:00Z",
    };
    await using server = await listen(
      (req, res) => {
        const { method, url = "", headers } = req;
        asked.push([method, url, String(headers["x-aws-ec2-metadata-token"] ?? "")].join(" "));
        const body = url.endsWith("/node") ? JSON.stringify(document) : "node";
        res.end(method === "PUT" ? "session" : body);
      },
      { host: "127.0.0.1", port: 0, drainMs: 0 },
    );
    const endpoint = `http://127.0.0.1:${server.port}`;
    const read = nodeCredentialsOf({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint });
    assert.deepEqual(await read(), {
      accessKeyId: "ASIA",
      secretAccessKey: "secret",
      sessionToken: "token",
      expiration: new Date("2026-01-01T01:00:00Z"),
    });
    const list = "/latest/meta-data/iam/security-credentials/";
    assert.deepEqual(asked, [
      "PUT /latest/api/token ",
      `GET ${list} session`,
      "PUT /latest/api/token ",
      `GET ${list}node session`,
    ]);
  });

  it("never takes credentials from where nobody has told it to", () => {
    for (const env of [{}, { HOME: "/root" }, { AWS_ACCESS_KEY_ID: "AKIA" }]) {
      assert.throws(() => nodeCredentialsOf(env), {
        code: "CONFIG_INVALID",
        message: /--legacy-assume-role needs the node's credentials: set AWS_ACCESS_KEY_ID/,
      });
    }
  });

  it("never tells what the metadata service said instead of credentials", async () => {
    await using server = await listen((_req, res) => void res.end("hidden"), {
      host: "127.0.0.1",
      port: 0,
      drainMs: 0,
    });
    const endpoint = `http://127.0.0.1:${server.port}`;
    const read = nodeCredentialsOf({ AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint });
    await assert.rejects(read, { message: "no JSON" });
  });
});
