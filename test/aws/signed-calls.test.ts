import assert from "node:assert/strict";
import { Agent } from "node:https";
import { after, describe, it } from "node:test";
import { ListRolesCommand } from "@aws-sdk/client-iam";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import StsV2 from "aws-sdk/clients/sts.js";
import { registerCluster } from "./fixtures/cluster.ts";
import { codeOf, httpsCall, type HttpsCall } from "./fixtures/https-call.ts";
import { startIssuer } from "./fixtures/issuer-server.ts";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient, stsClient, type SdkCredentials } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws, type Aws } from "./start-aws.ts";
import type { AdministratorKey } from "./store.ts";

// Credentials are worth nothing but through signatures: who signs, with what, and when.
process.env["AWS_EC2_METADATA_DISABLED"] = "true";
let offsetMs = 0;
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const issuer = resources.use(await startIssuer());
const aws = resources.use(
  await startAws({
    clock: { now: () => Date.now() + offsetMs, sleep: async () => {} },
    trustCaPems: [issuer.authority.cert],
  }),
);
const key = newSigningKey("RS256");
issuer.publish([key.jwk]);
const nowSeconds = Math.floor(Date.now() / 1000);
const cluster = await registerCluster(aws, { issuer: issuer.url, key, nowSeconds, role: "app" });
const administrator = administratorOf(aws);
const otherAdministrator = administratorOf(aws, 1);
const session = await newSession();
const otherSession = await newSession();
const SESSION_ARN = "arn:aws:sts::111122223333:assumed-role/app/session";

type SignedCall = Required<HttpsCall>;

async function newSession(): Promise<Required<SdkCredentials>> {
  const { Credentials } = await cluster.exchange();
  const { AccessKeyId = "", SecretAccessKey = "", SessionToken = "" } = Credentials ?? {};
  return {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: SessionToken,
  };
}

function identityOf(credentials: SdkCredentials) {
  return stsClient(aws, credentials).send(new GetCallerIdentityCommand({}));
}

/** A GetCallerIdentity call as the SDK signs it, for the test to send itself. */
async function signedCall(credentials: SdkCredentials, at: Aws = aws): Promise<SignedCall> {
  const sts = stsClient(at, credentials);
  let signed: SignedCall | undefined;
  sts.middlewareStack.add(
    () => async (args) => {
      const { method, path, headers, body } = args.request as SignedCall;
      signed = { method, path, headers, body };
      throw new Error("Captured");
    },
    // The last step before the wire, after the signing.
    { step: "deserialize", priority: "low" },
  );
  await assert.rejects(sts.send(new GetCallerIdentityCommand({})), /Captured/);
  assert.ok(signed !== undefined);
  return signed;
}

describe("GetCallerIdentity", () => {
  it("names the administrators of both accounts", async () => {
    for (const { accountId, ...credentials } of [administrator, otherAdministrator]) {
      const { Account, Arn, UserId } = await identityOf(credentials);
      assert.deepEqual([Account, Arn], [accountId, `arn:aws:iam::${accountId}:user/administrator`]);
      assert.match(UserId ?? "", /^AIDA/);
    }
  });

  it("names a session", async () => {
    const { Account, Arn, UserId } = await identityOf(session);
    assert.deepEqual([Account, Arn], ["111122223333", SESSION_ARN]);
    assert.match(UserId ?? "", /^AROA[A-Z2-7]{17}:session$/);
  });

  it("is answered to aws-sdk v2, signed by header and presigned", async () => {
    const sts = clientV2(session);
    assert.equal((await sts.getCallerIdentity().promise()).Arn, SESSION_ARN);
    const { pathname, search } = new URL(presigned(sts, 60));
    const answer = await httpsCall(aws, { method: "GET", path: `${pathname}${search}` });
    assert.equal(answer.status, 200);
    assert.ok(answer.body.includes(`<Arn>${SESSION_ARN}</Arn>`));
  });
});

describe("refused signatures", () => {
  const invalidToken = ["InvalidClientTokenId", 403];
  for (const [name, credentials, wanted] of [
    ["an unknown key", { ...administrator, accessKeyId: `AKIA${"A".repeat(16)}` }, invalidToken],
    [
      "another secret",
      { ...administrator, secretAccessKey: otherAdministrator.secretAccessKey },
      ["SignatureDoesNotMatch", 403],
    ],
    [
      "a secret in another case",
      { ...administrator, secretAccessKey: swapCase(administrator.secretAccessKey) },
      ["SignatureDoesNotMatch", 403],
    ],
    [
      "a session's key without its token",
      { accessKeyId: session.accessKeyId, secretAccessKey: session.secretAccessKey },
      invalidToken,
    ],
    [
      "a session's key with a changed token",
      { ...session, sessionToken: `${session.sessionToken.slice(0, -1)}!` },
      invalidToken,
    ],
    [
      "a session's key with another session's token",
      { ...session, sessionToken: otherSession.sessionToken },
      invalidToken,
    ],
    [
      "a long-lived key with a token",
      { ...administrator, sessionToken: session.sessionToken },
      invalidToken,
    ],
  ] as const) {
    it(`${name}: ${wanted[0]}`, async () => {
      const { code, status } = await wireErrorOf(identityOf(credentials));
      assert.deepEqual([code, status], wanted);
    });
  }

  for (const [name, wanted, change] of [
    [
      "a changed body",
      "SignatureDoesNotMatch",
      (call) => ({
        ...withHeader(call, "content-length", String(call.body.length + 4)),
        body: `${call.body}&A=1`,
      }),
    ],
    ["a query", "SignatureDoesNotMatch", (call) => ({ ...call, path: `${call.path}?A=1` })],
    [
      "another value of a signed header",
      "SignatureDoesNotMatch",
      (call) => withHeader(call, "host", "127.0.0.2"),
    ],
    [
      "another region in the scope",
      "SignatureDoesNotMatch",
      (call) => withAuthorization(call, (text) => text.replace("eu-central-1", "eu-central-2")),
    ],
    [
      "another service in the scope",
      "SignatureDoesNotMatch",
      (call) => withAuthorization(call, (text) => text.replace("/sts/", "/iam/")),
    ],
    [
      "a changed digit of the signature",
      "SignatureDoesNotMatch",
      (call) =>
        withAuthorization(call, (text) =>
          text.replace(/.$/, (digit) => (digit === "0" ? "1" : "0")),
        ),
    ],
    [
      "a signature that is cut off",
      "IncompleteSignature",
      (call) => withAuthorization(call, (text) => text.slice(0, -1)),
    ],
    [
      "no signed host",
      "IncompleteSignature",
      (call) => withAuthorization(call, (text) => text.replace("host;", "")),
    ],
    [
      "another algorithm",
      "IncompleteSignature",
      (call) => withAuthorization(call, (text) => text.replace("HMAC-SHA256", "HMAC-SHA1")),
    ],
    [
      "no signature",
      "MissingAuthenticationToken",
      (call) => {
        const { [authorizationOf(call)]: _gone, ...headers } = call.headers;
        return { ...call, headers };
      },
    ],
  ] as const satisfies readonly (readonly [string, string, (call: SignedCall) => HttpsCall])[]) {
    it(`${name}: ${wanted}`, async () => {
      const call = await signedCall(administrator);
      assert.equal((await httpsCall(aws, call)).status, 200, "as it was signed");
      const answer = await httpsCall(aws, change(call));
      const status = wanted === "IncompleteSignature" ? 400 : 403;
      assert.deepEqual([answer.status, codeOf(answer)], [status, wanted]);
    });
  }

  it("a signature holds for 15 minutes before and after, and not a millisecond more", async () => {
    let stillMs = Date.now();
    await using still = await startAws({ clock: { now: () => stillMs, sleep: async () => {} } });
    const call = await signedCall(administratorOf(still), still);
    const signedAtMs = parseAmzDate(call.headers["x-amz-date"] ?? "");
    const limitMs = 15 * 60 * 1000;
    for (const [ageMs, wanted] of [
      [limitMs, undefined],
      [limitMs + 1, "SignatureDoesNotMatch"],
      [-limitMs, undefined],
      [-limitMs - 1, "SignatureDoesNotMatch"],
    ] as const) {
      stillMs = signedAtMs + ageMs;
      assert.equal(codeOf(await httpsCall(still, call)), wanted, String(ageMs));
    }
  });

  it("a presigned call is refused when it has expired, or its query was changed", async () => {
    const url = new URL(presigned(clientV2(administrator), 60));
    const path = `${url.pathname}${url.search}`;
    const changed = await httpsCall(aws, { method: "GET", path: `${path}&X=1` });
    assert.equal(codeOf(changed), "SignatureDoesNotMatch");
    try {
      offsetMs = 62_000;
      const late = await httpsCall(aws, { method: "GET", path });
      assert.equal(codeOf(late), "SignatureDoesNotMatch");
      assert.match(late.body, /Signature expired/);
    } finally {
      offsetMs = 0;
    }
  });

  it("the SDK corrects a clock that is off by the Date of an answer", async () => {
    aws.set({ clockOffsetSeconds: 3600 });
    try {
      const sts = stsClient(aws, administrator);
      const error = await wireErrorOf(sts.send(new GetCallerIdentityCommand({})));
      assert.equal(error.code, "SignatureDoesNotMatch");
      assert.ok(await sts.send(new GetCallerIdentityCommand({})));
    } finally {
      aws.set({ clockOffsetSeconds: 0 });
    }
  });
});

describe("permissions", () => {
  it("a session may not call IAM: no permission policy is evaluated here", async () => {
    const error = await wireErrorOf(iamClient(aws, session).send(new ListRolesCommand({})));
    assert.deepEqual([error.code, error.status], ["AccessDenied", 403]);
    assert.ok(error.message.startsWith(`User: ${SESSION_ARN} is not authorized to perform: iam:`));
  });

  it("IAM wants a signature", async () => {
    const answer = await httpsCall(aws, {
      method: "GET",
      path: "/?Action=ListRoles&Version=2010-05-08",
    });
    assert.deepEqual([answer.status, codeOf(answer)], [403, "MissingAuthenticationToken"]);
    const xmlns = 'xmlns="https://iam.amazonaws.com/doc/2010-05-08/"';
    assert.ok(answer.body.includes(`<ErrorResponse ${xmlns}>`));
  });
});

function withHeader(call: SignedCall, name: string, value: string): SignedCall {
  return { ...call, headers: { ...call.headers, [name]: value } };
}

function authorizationOf(call: SignedCall): string {
  const name = Object.keys(call.headers).find((header) => /^authorization$/i.test(header));
  assert.ok(name !== undefined);
  return name;
}

function withAuthorization(call: SignedCall, change: (text: string) => string): SignedCall {
  const name = authorizationOf(call);
  return withHeader(call, name, change(call.headers[name] ?? ""));
}

function clientV2(credentials: SdkCredentials): StsV2 {
  return new StsV2({
    endpoint: aws.sts,
    region: "eu-central-1",
    credentials,
    maxRetries: 0,
    httpOptions: { agent: new Agent({ ca: aws.caPem }) },
  });
}

function presigned(sts: StsV2, expiresSeconds: number): string {
  const request = sts.getCallerIdentity() as unknown as { presign(seconds: number): string };
  return request.presign(expiresSeconds);
}

function swapCase(text: string): string {
  return text === text.toUpperCase() ? text.toLowerCase() : text.toUpperCase();
}

function administratorOf(at: Aws, i = 0): AdministratorKey {
  const found = at.accounts[i];
  assert.ok(found !== undefined);
  return found;
}

function parseAmzDate(text: string): number {
  return Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)/, "$1-$2-$3T$4:$5:"));
}
