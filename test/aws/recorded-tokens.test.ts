import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { CreateOpenIDConnectProviderCommand, CreateRoleCommand } from "@aws-sdk/client-iam";
import {
  AssumeRoleWithWebIdentityCommand,
  GetCallerIdentityCommand,
  STSServiceException,
} from "@aws-sdk/client-sts";
import { startIssuer } from "./fixtures/issuer-server.ts";
import { RECORDED_ROWS, type Refused } from "./fixtures/recorded-rows.ts";
import { newRowContext, tokenOf } from "./fixtures/row-token.ts";
import { iamClient, stsClient } from "./fixtures/sdk-clients.ts";
import { startAws } from "./start-aws.ts";

// The rows of the reference as unmodified SDK clients meet them, at one moment that stands still.
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const issuer = resources.use(await startIssuer());
const aws = resources.use(
  await startAws({
    clock: { now: () => nowMs, sleep: async () => {} },
    trustCaPems: [issuer.authority.cert],
    onError: (err) => assert.fail(err instanceof Error ? err : String(err)),
  }),
);
const context = await newRowContext(issuer.url, nowMs / 1000);
const providerArn = `arn:aws:iam::111122223333:oidc-provider/localhost:${issuer.port}`;

const iam = iamClient(aws);
await iam.send(
  new CreateOpenIDConnectProviderCommand({
    Url: issuer.url,
    ClientIDList: ["client-a", "client-b"],
    ThumbprintList: ["0".repeat(40)],
  }),
);
for (const [RoleName, Action] of [
  ["app", ["sts:AssumeRoleWithWebIdentity"]],
  ["tagged", ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]],
] as const) {
  await iam.send(
    new CreateRoleCommand({
      RoleName,
      Path: "/team/",
      MaxSessionDuration: 7200,
      AssumeRolePolicyDocument: JSON.stringify({
        Version: "2012-10-17",
        Statement: [{ Effect: "Allow", Principal: { Federated: providerArn }, Action }],
      }),
    }),
  );
}

describe("tokens, JWKS and roles as recorded", () => {
  for (const row of RECORDED_ROWS) {
    it(row.name, async () => {
      const { token, published } = tokenOf(row, context);
      issuer.publish(published);
      const role = row.role ?? "app";
      const exchange = stsClient(aws).send(
        new AssumeRoleWithWebIdentityCommand({
          RoleArn: `arn:aws:iam::111122223333:role/team/${role}`,
          RoleSessionName: "session",
          WebIdentityToken: token,
          ...row.call,
        }),
      );
      const { outcome } = row;
      if ("code" in outcome) {
        await assertRefused(exchange, outcome);
        return;
      }
      const answer = await exchange;
      const {
        subject = "system:serviceaccount:payments:api",
        audience = "client-a",
        sourceIdentity,
      } = outcome;
      // The SDK gives an empty element as an empty text.
      assert.equal(answer.SubjectFromWebIdentityToken, subject);
      assert.equal(answer.Audience, audience);
      assert.equal(answer.SourceIdentity, sourceIdentity);
      assert.equal(answer.Provider, providerArn);
      const arn = `arn:aws:sts::111122223333:assumed-role/${role}/session`;
      assert.equal(answer.AssumedRoleUser?.Arn, arn);
      assert.match(answer.AssumedRoleUser?.AssumedRoleId ?? "", /^AROA[A-Z2-7]{17}:session$/);
      assert.ok((answer.PackedPolicySize ?? 0) >= 24);
      const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = answer.Credentials ?? {};
      const lifeSeconds = row.call?.DurationSeconds ?? 3600;
      assert.equal(Expiration?.getTime(), nowMs + lifeSeconds * 1000);
      assert.ok(
        AccessKeyId !== undefined && SecretAccessKey !== undefined && SessionToken !== undefined,
      );
      assert.match(AccessKeyId, /^ASIA[A-Z2-7]{16}$/);
      const identity = await stsClient(aws, {
        accessKeyId: AccessKeyId,
        secretAccessKey: SecretAccessKey,
        sessionToken: SessionToken,
      }).send(new GetCallerIdentityCommand({}));
      assert.equal(identity.Arn, arn);
    });
  }
});

async function assertRefused(exchange: Promise<unknown>, outcome: Refused): Promise<void> {
  const error = await exchange.then(
    () => assert.fail("Expected a refusal"),
    (err: unknown) => err,
  );
  assert.ok(error instanceof STSServiceException, String(error));
  const { message } = outcome;
  assert.deepEqual(
    [(error as unknown as { Code: string }).Code, error.$metadata.httpStatusCode, error.message],
    [outcome.code, outcome.status, typeof message === "string" ? message : message(context)],
  );
}
