import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { CreateRoleCommand } from "@aws-sdk/client-iam";
import { AssumeRoleCommand, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { iamClient, stsClient, type SdkCredentials } from "./fixtures/sdk-clients.ts";
import { startAws } from "./start-aws.ts";

const ACCOUNT = "111122223333";
const NODE = `arn:aws:iam::${ACCOUNT}:role/node`;

const aws = await startAws();
after(() => aws[Symbol.asyncDispose]());
const [, other] = aws.accounts;

async function role(name: string, principal: unknown, condition?: object): Promise<string> {
  const statement = { Effect: "Allow", Principal: principal, Action: "sts:AssumeRole" };
  const Statement = [condition === undefined ? statement : { ...statement, Condition: condition }];
  const AssumeRolePolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement });
  const created = await iamClient(aws).send(
    new CreateRoleCommand({ RoleName: name, AssumeRolePolicyDocument }),
  );
  return created.Role?.Arn ?? "";
}

async function assume(
  RoleArn: string,
  input: { readonly ExternalId?: string; readonly DurationSeconds?: number } = {},
  credentials?: SdkCredentials,
): Promise<SdkCredentials> {
  const command = new AssumeRoleCommand({ RoleArn, RoleSessionName: "session", ...input });
  const { Credentials } = await stsClient(aws, credentials).send(command);
  return {
    accessKeyId: Credentials?.AccessKeyId ?? "",
    secretAccessKey: Credentials?.SecretAccessKey ?? "",
    sessionToken: Credentials?.SessionToken ?? "",
  };
}

const denied = { name: "AccessDenied", message: /not authorized to perform: sts:AssumeRole/ };

describe("AssumeRole", () => {
  const root = { AWS: `arn:aws:iam::${ACCOUNT}:root` };

  it("gives credentials of a role to whom it trusts, and to nobody else", async () => {
    const arn = await role("app", root);
    const client = stsClient(aws, await assume(arn));
    const { Arn } = await client.send(new GetCallerIdentityCommand({}));
    assert.equal(Arn, `arn:aws:sts::${ACCOUNT}:assumed-role/app/session`);
    await assert.rejects(assume(arn, {}, other), denied);
    await assert.rejects(assume(`${arn}x`), denied);
    await assert.rejects(assume(arn, {}, { accessKeyId: "AKIAX", secretAccessKey: "x" }), {
      name: "InvalidClientTokenId",
    });
  });

  it("holds a role to the external id that it asks for", async () => {
    const condition = { StringEquals: { "sts:ExternalId": "good" } };
    const arn = await role("with-id", { AWS: ACCOUNT }, condition);
    await assume(arn, { ExternalId: "good" });
    await assert.rejects(assume(arn, { ExternalId: "bad" }), denied);
    await assert.rejects(assume(arn), denied);
  });

  it("lets a role assume the roles that name it, for an hour", async () => {
    await role("node", root);
    const named = await role("named", { AWS: NODE });
    const unnamed = await role("unnamed", root);
    const node = await assume(NODE);
    await assume(named, { DurationSeconds: 3600 }, node);
    await assert.rejects(assume(unnamed, {}, node), denied);
    await assert.rejects(assume(named, { DurationSeconds: 7200 }, node), {
      name: "ValidationError",
      message: /role chaining/,
    });
  });

  it("gives nothing of a role that trusts a provider alone", async () => {
    const provider = `arn:aws:iam::${ACCOUNT}:oidc-provider/issuer.example`;
    await assert.rejects(assume(await role("federated", { Federated: provider })), denied);
  });
});
