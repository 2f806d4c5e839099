import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { listen, type RunningServer } from "../../lib/http.ts";
import { createWorkspace } from "../../test/kubernetes/workspace.ts";
import { winningVariablesOf } from "./winning-credentials.ts";

// Which credentials real SDKs take when a container has variables of several kinds, so that the list
// holds what they do and not what somebody remembers. All that they ask is on loopback.

const EXPIRATION = "2099-01-01T00:00:00Z";
const OF_CONTAINER = { AccessKeyId: "container", SecretAccessKey: "s", Token: "t" };
const OF_WEB_IDENTITY =
  "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>" +
  "<AccessKeyId>web-identity</AccessKeyId><SecretAccessKey>s</SecretAccessKey>" +
  `<SessionToken>t</SessionToken><Expiration>${EXPIRATION}</Expiration>` +
  "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

/** Prints the id of the access key that the default chain of an SDK comes to. */
const SDKS = {
  "JavaScript v2": `
    import aws from "aws-sdk";
    aws.config.update({ sts: { endpoint: process.env.AWS_ENDPOINT_URL_STS } });
    const { accessKeyId } = await new aws.CredentialProviderChain().resolvePromise();
    process.stdout.write(accessKeyId);`,
  "JavaScript v3": `
    import { STSClient } from "@aws-sdk/client-sts";
    const { accessKeyId } = await new STSClient({}).config.credentials();
    process.stdout.write(accessKeyId);`,
};
type Sdk = keyof typeof SDKS;

/** Gives credentials to whoever asks as of a container endpoint (GET) or of STS (POST). */
function startEndpoints(): Promise<RunningServer> {
  return listen(
    (req, res) => {
      if (req.method === "GET") {
        res.writeHead(200, { "content-type": "application/json" });
        res.end(JSON.stringify({ ...OF_CONTAINER, Expiration: EXPIRATION }));
      } else res.writeHead(200, { "content-type": "text/xml" }).end(OF_WEB_IDENTITY);
    },
    { port: 0, host: "127.0.0.1", drainMs: 0 },
  );
}

/** Has an SDK choose among these variables, beside those of web identity. */
async function choiceOf(sdk: Sdk, variables: (url: string) => Record<string, string>) {
  await using endpoints = await startEndpoints();
  await using folder = await createWorkspace();
  const tokenFile = join(folder.path, "token");
  await writeFile(tokenFile, "a.b.c");
  const url = `http://127.0.0.1:${endpoints.port}`;
  const env = {
    HOME: folder.path,
    AWS_REGION: "eu-central-1",
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_ENDPOINT_URL_STS: url,
    AWS_ROLE_ARN: "arn:aws:iam::111122223333:role/reader",
    AWS_WEB_IDENTITY_TOKEN_FILE: tokenFile,
    ...variables(url),
  };
  const args = ["--input-type=module", "--eval", SDKS[sdk]];
  const cwd = new URL("../../", import.meta.url);
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env });
  return stdout;
}

const chosen: readonly (readonly [Sdk, string, (url: string) => Record<string, string>, string])[] =
  [
    ["JavaScript v2", "nothing else", () => ({}), "web-identity"],
    ["JavaScript v3", "nothing else", () => ({}), "web-identity"],
    [
      "JavaScript v2",
      "a container endpoint",
      (url) => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: url }),
      "container",
    ],
    [
      "JavaScript v3",
      "a container endpoint",
      (url) => ({ AWS_CONTAINER_CREDENTIALS_FULL_URI: url }),
      "web-identity",
    ],
    [
      "JavaScript v3",
      "an access key",
      () => ({ AWS_ACCESS_KEY_ID: "static", AWS_SECRET_ACCESS_KEY: "s" }),
      "static",
    ],
  ];

describe("beside a web identity", () => {
  for (const [sdk, what, variables, expected] of chosen) {
    it(`and ${what}, the SDK for ${sdk} takes that of ${expected}`, async () => {
      assert.equal(await choiceOf(sdk, variables), expected);
    });
  }
});

describe("winningVariablesOf", () => {
  const env = [
    { name: "AWS_CONTAINER_CREDENTIALS_FULL_URI", value: "http://127.0.0.1/" },
    { name: "AWS_WEB_IDENTITY_TOKEN_FILE", value: "/token" },
    { name: "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", value: "" },
    { name: "AWS_ACCESS_KEY_ID", valueFrom: { secretKeyRef: { name: "s", key: "k" } } },
  ];
  for (const [method, expected] of [
    ["web-identity", ["AWS_ACCESS_KEY_ID", "AWS_CONTAINER_CREDENTIALS_FULL_URI"]],
    ["container-credentials", ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"]],
  ] as const) {
    it(`names what some SDK takes instead of ${method}, and nothing that is empty`, () => {
      assert.deepEqual(winningVariablesOf({ name: "app", env }, method), expected);
    });
  }
});
