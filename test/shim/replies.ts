import assert from "node:assert/strict";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { z } from "zod";
import { stsClient } from "../aws/fixtures/sdk-clients.ts";
import type { Reply } from "../fakes/ask.ts";
import type { ShimWorld } from "./shim-world.ts";

/** Headers and paths of the protocol. */
export const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
export const TOKEN = "x-aws-ec2-metadata-token";
export const TOKEN_PATH = "/latest/api/token";
export const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

const Credentials = z
  .object({
    AccessKeyId: z.string(),
    SecretAccessKey: z.string(),
    Token: z.string(),
    Expiration: z.string(),
  })
  .catchall(z.string());
export type CredentialDocument = z.infer<typeof Credentials>;

/** The credentials of an answer that is good. */
export function credentialsIn(reply: Reply): CredentialDocument {
  assert.equal(reply.status, 200, reply.body);
  const fields = z.record(z.string(), z.string()).parse(JSON.parse(reply.body));
  // In the order in which they came.
  return { ...fields, ...Credentials.parse(fields) };
}

const Facts = z.record(z.string(), z.string().nullable());

/** Any other document of an answer that is good. */
export function factsIn(reply: Reply): z.infer<typeof Facts> {
  assert.equal(reply.status, 200, reply.body);
  return Facts.parse(JSON.parse(reply.body));
}

/** Who credentials are, by AWS's word. */
export async function identityOf(
  world: ShimWorld,
  credentials: CredentialDocument,
): Promise<string> {
  const { AccessKeyId, SecretAccessKey, Token } = credentials;
  const client = stsClient(world.aws, {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: Token,
  });
  return (await client.send(new GetCallerIdentityCommand({}))).Arn ?? "";
}

/** The statuses of all of them, in their order. */
export async function statusOfAll(replies: Iterable<Promise<Reply>>): Promise<readonly number[]> {
  return (await Promise.all(replies)).map(({ status }) => status);
}
