import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { registerCluster } from "./fixtures/cluster.ts";
import { httpsCall, type HttpsAnswer } from "./fixtures/https-call.ts";
import { startIssuer } from "./fixtures/issuer-server.ts";
import { NOT_AUTHORIZED, wireErrorOf } from "./fixtures/rejection.ts";
import { stsClient } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws } from "./start-aws.ts";

// The rows of the reference that are about the call and the role, not about the token.
let nowMs = Math.floor(Date.now() / 1000) * 1000;
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const issuer = resources.use(await startIssuer());
const aws = resources.use(
  await startAws({
    clock: { now: () => nowMs, sleep: async () => {} },
    trustCaPems: [issuer.authority.cert],
  }),
);
const key = newSigningKey("RS256");
issuer.publish([key.jwk]);
const cluster = await registerCluster(aws, { issuer: issuer.url, key, nowSeconds: nowMs / 1000 });
await cluster.createRole("app", {}, { MaxSessionDuration: 7200 });
await cluster.createRole("pathed", {}, { Path: "/a/b/" });
await cluster.createRole("somebody-else", {
  Principal: { Federated: "arn:aws:iam::111122223333:oidc-provider/other.example" },
});

function longToken(characters: number): string {
  return `${"e".repeat(characters - 4)}.e.e`;
}

function parametersOf(action: string): URLSearchParams {
  return new URLSearchParams({
    Action: action,
    Version: "2011-06-15",
    RoleArn: roleArn("app"),
    RoleSessionName: "session",
    WebIdentityToken: cluster.token(),
  });
}

function roleArn(name: string): string {
  return `arn:aws:iam::111122223333:role/${name}`;
}

describe("roles", () => {
  for (const [name, arn] of [
    ["the trust policy does not match", roleArn("somebody-else")],
    ["the role does not exist", roleArn("nobody")],
    ["the path of the ARN is not the role's", roleArn("pathed")],
    ["the name differs in case", roleArn("App")],
  ] as const) {
    it(`${name}: AccessDenied`, async () => {
      assert.deepEqual(await wireErrorOf(cluster.exchange({ RoleArn: arn })), NOT_AUTHORIZED);
    });
  }

  it("the session's ARN has the role's name without its path", async () => {
    const { AssumedRoleUser } = await cluster.exchange({ RoleArn: roleArn("a/b/pathed") });
    const wanted = "arn:aws:sts::111122223333:assumed-role/pathed/session";
    assert.equal(AssumedRoleUser?.Arn, wanted);
  });

  it("a new role is not known before the propagation delay is over", async () => {
    aws.set({ faults: { propagationDelaySeconds: 10 } });
    const created = nowMs;
    try {
      const RoleArn = await cluster.createRole("fresh");
      nowMs = created + 9999;
      assert.deepEqual(await wireErrorOf(cluster.exchange({ RoleArn })), NOT_AUTHORIZED);
      nowMs = created + 10_000;
      assert.ok((await cluster.exchange({ RoleArn })).Credentials);
    } finally {
      nowMs = created;
      aws.set({ faults: {} });
    }
  });

  it("provider missing in the role's account: InvalidIdentityToken", async () => {
    const RoleArn = "arn:aws:iam::444455556666:role/app";
    assert.deepEqual(await wireErrorOf(cluster.exchange({ RoleArn })), {
      code: "InvalidIdentityToken",
      status: 400,
      message: `No OpenIDConnect provider found in your account for ${issuer.url}`,
    });
  });

  for (const [name, iss] of [
    ["a slash at the end", `${issuer.url}/`],
    ["another case", issuer.url.replace("localhost", "LOCALHOST")],
    ["no scheme", issuer.url.slice("https://".length)],
    ["http", issuer.url.replace("https", "http")],
  ] as const) {
    it(`the token's iss has ${name}: no provider is found`, async () => {
      const WebIdentityToken = cluster.token({ iss });
      const error = await wireErrorOf(cluster.exchange({ WebIdentityToken }));
      assert.equal(error.code, "InvalidIdentityToken");
      assert.equal(error.message, `No OpenIDConnect provider found in your account for ${iss}`);
    });
  }
});

describe("parameters", () => {
  it("DurationSeconds at the role's maximum is taken, one more is refused", async () => {
    const { Credentials } = await cluster.exchange({ DurationSeconds: 7200 });
    assert.equal(Credentials?.Expiration?.getTime(), nowMs + 7_200_000);
    assert.deepEqual(await wireErrorOf(cluster.exchange({ DurationSeconds: 7201 })), {
      code: "ValidationError",
      status: 400,
      message: "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    });
  });

  it("bad session name: the constraint is named", async () => {
    assert.deepEqual(await wireErrorOf(cluster.exchange({ RoleSessionName: "a b" })), {
      code: "ValidationError",
      status: 400,
      message:
        "1 validation error detected: Value 'a b' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*",
    });
  });

  for (const [name, input, message] of [
    ["DurationSeconds 899", { DurationSeconds: 899 }, "'899' at 'durationSeconds'"],
    ["DurationSeconds 43201", { DurationSeconds: 43_201 }, "'43201' at 'durationSeconds'"],
    ["a session name of 1", { RoleSessionName: "a" }, "'a' at 'roleSessionName'"],
    ["a session name of 65", { RoleSessionName: "a".repeat(65) }, "at 'roleSessionName'"],
    ["a token of 3 characters", { WebIdentityToken: "a.b" }, "Value at 'webIdentityToken'"],
    [
      "a token of 20001 characters",
      { WebIdentityToken: longToken(20_001) },
      "Value at 'webIdentityToken'",
    ],
    ["a role ARN of 19", { RoleArn: "arn:aws:iam::1:role" }, "at 'roleArn'"],
    ["a role ARN that is none", { RoleArn: "arn:aws:iam::1:role/application" }, "Request ARN"],
    ["a ProviderId of 3", { ProviderId: "abc" }, "at 'providerId'"],
    ["a Policy of 2049", { Policy: `{"Statement":"${"x".repeat(2049)}"}` }, "at 'policy'"],
    [
      "11 policy ARNs",
      { PolicyArns: Array.from({ length: 11 }, () => ({ arn: "arn:aws:iam::aws:policy/A" })) },
      "at 'policyArns'",
    ],
  ] as const) {
    it(`${name}: ValidationError`, async () => {
      const error = await wireErrorOf(cluster.exchange({ ...input }));
      assert.deepEqual([error.code, error.status], ["ValidationError", 400]);
      assert.ok(error.message.includes(message), error.message);
    });
  }

  for (const [name, input] of [
    ["DurationSeconds 900", { DurationSeconds: 900 }],
    ["a session name of 2", { RoleSessionName: "a1" }],
    ["a session name of 64", { RoleSessionName: "a".repeat(64) }],
  ] as const) {
    it(`${name} is taken`, async () => {
      assert.ok((await cluster.exchange(input)).Credentials);
    });
  }

  it("a token of 20000 characters passes the length check", async () => {
    const error = await wireErrorOf(cluster.exchange({ WebIdentityToken: longToken(20_000) }));
    assert.equal(error.code, "InvalidIdentityToken");
  });

  it("names every broken constraint at once, and never quotes a token", async () => {
    const error = await wireErrorOf(
      cluster.exchange({ RoleSessionName: "", WebIdentityToken: "s e" }),
    );
    assert.match(error.message, /^2 validation errors detected: /);
    assert.ok(!error.message.includes("s e"));
  });

  it("a session policy narrows nothing here but is checked and counted", async () => {
    const Policy = JSON.stringify({ Version: "2012-10-17", Statement: [] });
    const { PackedPolicySize = 0 } = await cluster.exchange({ Policy });
    assert.ok(PackedPolicySize > 25 && PackedPolicySize < 100);
    const bad = await wireErrorOf(cluster.exchange({ Policy: "{" }));
    assert.deepEqual([bad.code, bad.status], ["MalformedPolicyDocument", 400]);
  });

  it("more than fits into the packed size: PackedPolicyTooLarge", async () => {
    const tags = Object.fromEntries(
      Array.from({ length: 20 }, (_, i) => [`key-${i}`, ["v".repeat(200)]]),
    );
    const RoleArn = await cluster.createRole("tagging", { Action: "sts:*" });
    const WebIdentityToken = cluster.token({
      "https://aws.amazon.com/tags": { principal_tags: tags },
    });
    const error = await wireErrorOf(cluster.exchange({ RoleArn, WebIdentityToken }));
    assert.deepEqual([error.code, error.status], ["PackedPolicyTooLarge", 400]);
  });
});

describe("the wire", () => {
  it("answers a GET with the same query", async () => {
    const answer = await httpsCall(aws, {
      method: "GET",
      path: `/?${parametersOf("AssumeRoleWithWebIdentity").toString()}`,
    });
    assert.equal(answer.status, 200);
    assert.equal(answer.headers["content-type"], "text/xml");
    const requestId = String(answer.headers["x-amzn-requestid"]);
    assert.match(requestId, /^[0-9a-f-]{36}$/);
    const xmlns = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"';
    assert.ok(answer.body.includes(`<AssumeRoleWithWebIdentityResponse ${xmlns}>`));
    const metadata = `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata>`;
    assert.ok(answer.body.includes(metadata));
  });

  it("answers an error as XML and closes the connection", async () => {
    const form = parametersOf("AssumeRoleWithWebIdentity");
    form.set("WebIdentityToken", "nonsense");
    const answer = await post(form.toString());
    const requestId = String(answer.headers["x-amzn-requestid"]);
    assert.deepEqual(
      [answer.status, answer.headers["content-type"], answer.headers["connection"]],
      [400, "text/xml", "close"],
    );
    assert.equal(
      answer.body,
      `<?xml version="1.0" encoding="UTF-8"?>\n<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)</Message></Error><RequestId>${requestId}</RequestId></ErrorResponse>`,
    );
  });

  it("a stray X-Amz-Security-Token gets the misleading verification key error", async () => {
    const form = parametersOf("AssumeRoleWithWebIdentity").toString();
    const answer = await post(form, { "x-amz-security-token": "ambient" });
    assert.equal(answer.status, 400);
    assert.match(answer.body, /<Message>Couldn't retrieve verification key/);
  });

  for (const [name, action, version] of [
    ["an unknown action", "AssumeRoleWithFaith", "2011-06-15"],
    ["an unknown version", "AssumeRoleWithWebIdentity", "2000-01-01"],
    ["no version", "AssumeRoleWithWebIdentity", ""],
    ["a name of Object.prototype", "constructor", "2011-06-15"],
  ] as const) {
    it(`${name}: InvalidAction`, async () => {
      const form = parametersOf(action);
      form.set("Version", version);
      const answer = await post(form.toString());
      assert.equal(answer.status, 400);
      assert.match(answer.body, /<Code>InvalidAction<\/Code>/);
    });
  }

  it("a body of 17 MiB is refused with 413, and the server lives", async () => {
    const answer = await post("x".repeat(17 * 1024 * 1024));
    assert.equal(answer.status, 413);
    assert.ok((await cluster.exchange()).Credentials);
  });

  it("logs the exchange with subject, audience and kid, and nothing secret", async () => {
    const before = aws.calls().length;
    const token = cluster.token();
    const { Credentials } = await cluster.exchange({ WebIdentityToken: token });
    const [entry, ...more] = aws.calls().slice(before);
    assert.deepEqual(more, []);
    assert.deepEqual(entry, {
      time: new Date(nowMs).toISOString(),
      service: "sts",
      action: "AssumeRoleWithWebIdentity",
      accountId: "111122223333",
      principal: undefined,
      role: roleArn("app"),
      webIdentity: {
        issuer: issuer.url,
        subject: "system:serviceaccount:payments:api",
        audience: "sts.amazonaws.com",
        kid: "RS256",
        isVerified: true,
      },
      issuedKeyId: Credentials?.AccessKeyId,
      status: 200,
      code: "OK",
      detail: undefined,
    });
    const log = JSON.stringify(aws.calls());
    for (const secret of [
      token,
      token.split(".")[2] ?? "",
      Credentials?.SecretAccessKey ?? "",
      Credentials?.SessionToken ?? "",
      ...aws.accounts.map(({ secretAccessKey }) => secretAccessKey),
    ]) {
      assert.ok(secret.length > 20 && !log.includes(secret));
    }
  });

  it("escapes what the caller chose", async () => {
    const sub = `<&">\r\n\u0001`;
    const { SubjectFromWebIdentityToken } = await cluster.exchange({
      WebIdentityToken: cluster.token({ sub }),
    });
    assert.equal(SubjectFromWebIdentityToken, `<&">\r\n\ufffd`);
  });
});

describe("credentials", () => {
  it("end at their Expiration: ExpiredToken", async () => {
    const { Credentials } = await cluster.exchange({ DurationSeconds: 900 });
    const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials ?? {};
    const sts = stsClient(aws, {
      accessKeyId: AccessKeyId,
      secretAccessKey: SecretAccessKey,
      sessionToken: SessionToken,
    });
    const start = nowMs;
    try {
      nowMs = start + 899_999;
      assert.ok(await sts.send(new GetCallerIdentityCommand({})));
      nowMs = start + 900_000;
      const error = await wireErrorOf(sts.send(new GetCallerIdentityCommand({})));
      assert.deepEqual([error.code, error.status], ["ExpiredToken", 403]);
    } finally {
      nowMs = start;
    }
  });
});

function post(form: string, headers: Readonly<Record<string, string>> = {}): Promise<HttpsAnswer> {
  const type = "application/x-www-form-urlencoded; charset=utf-8";
  return httpsCall(aws, {
    method: "POST",
    path: "/",
    headers: { "content-type": type, ...headers },
    body: form,
  });
}
