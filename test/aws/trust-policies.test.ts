import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { registerCluster } from "./fixtures/cluster.ts";
import { startIssuer } from "./fixtures/issuer-server.ts";
import { NOT_AUTHORIZED, wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws } from "./start-aws.ts";

// What trust policies say to one token: system:serviceaccount:payments:api for sts.amazonaws.com.
const nowMs = Math.floor(Date.now() / 1000) * 1000;
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const issuer = resources.use(await startIssuer());
const aws = resources.use(
  await startAws({
    clock: { now: () => nowMs, sleep: async () => {} },
    trustCaPems: [issuer.authority.cert],
  }),
);
const key = newSigningKey("ES256");
issuer.publish([key.jwk]);
const cluster = await registerCluster(aws, { issuer: issuer.url, key, nowSeconds: nowMs / 1000 });
const { providerArn } = cluster;
const [aud, sub, oaud, amr, email] = ["aud", "sub", "oaud", "amr", "email"].map(
  (name) => `${cluster.hostPath}:${name}`,
) as [string, string, string, string, string];
const SUBJECT = "system:serviceaccount:payments:api";
const federated = { Principal: { Federated: providerArn } };
const ACTION = { Action: "sts:AssumeRoleWithWebIdentity" };

type Statement = Readonly<Record<string, unknown>>;
interface Case {
  readonly name: string;
  readonly allowed: boolean;
  /** Changes to the one statement that trusts the provider. */
  readonly change?: Statement;
  /** All statements instead. */
  readonly statements?: readonly Statement[];
  readonly claims?: Readonly<Record<string, unknown>>;
}

function condition(allowed: boolean, name: string, Condition: Statement, claims = {}): Case {
  return { name, allowed, change: { Condition }, claims };
}

const allow = { Effect: "Allow", ...federated, ...ACTION };
const twoAudiences = { aud: ["sts.amazonaws.com", "other"], azp: "sts.amazonaws.com" };
const tags = { "https://aws.amazon.com/tags": { principal_tags: { Team: ["payments"] } } };

const CASES: readonly Case[] = [
  { name: "no condition", allowed: true },
  condition(true, "aud and sub as they are", {
    StringEquals: { [aud]: "sts.amazonaws.com", [sub]: SUBJECT },
  }),
  condition(true, "one of several subjects", { StringEquals: { [sub]: ["other", SUBJECT] } }),
  condition(false, "another subject", { StringEquals: { [sub]: `${SUBJECT}s` } }),
  condition(false, "the subject in another case", {
    StringEquals: { [sub]: SUBJECT.toUpperCase() },
  }),
  condition(true, "the subject in another case, ignoring case", {
    StringEqualsIgnoreCase: { [sub]: SUBJECT.toUpperCase() },
  }),
  condition(true, "the key in another case", { StringEquals: { [sub.toUpperCase()]: SUBJECT } }),
  condition(true, "the operator in another case", { stringequals: { [sub]: SUBJECT } }),
  condition(false, "one key of two does not match", {
    StringEquals: { [aud]: "sts.amazonaws.com", [sub]: "other" },
  }),
  condition(false, "one operator of two does not match", {
    StringEquals: { [aud]: "sts.amazonaws.com" },
    StringLike: { [sub]: "other*" },
  }),
  condition(false, "StringEquals takes * as it stands", {
    StringEquals: { [sub]: "system:serviceaccount:payments:*" },
  }),
  condition(true, "StringLike with *", {
    StringLike: { [sub]: "system:serviceaccount:payments:*" },
  }),
  condition(true, "StringLike: * spans the colon", { StringLike: { [sub]: "system:*:api" } }),
  condition(true, "StringLike with ?", { StringLike: { [sub]: `${SUBJECT.slice(0, -1)}?` } }),
  condition(false, "StringLike: ? is one character, not none", {
    StringLike: { [sub]: `${SUBJECT}?` },
  }),
  condition(false, "StringLike: a dot is a dot", { StringLike: { [aud]: "sts?amazonaws?comx" } }),
  condition(false, "StringLike is anchored", { StringLike: { [sub]: "payments" } }),
  condition(
    true,
    "StringLike takes all but * and ? as it stands",
    { StringLike: { [sub]: "system:serviceaccount:a-b/c.d(e)[f]{g}|h^i$j+k\\l:*" } },
    { sub: "system:serviceaccount:a-b/c.d(e)[f]{g}|h^i$j+k\\l:api" },
  ),
  condition(false, "StringNotLike", { StringNotLike: { [sub]: "system:*" } }),
  condition(true, "StringNotEquals another", { StringNotEquals: { [sub]: "other" } }),
  condition(false, "StringNotEquals the same", { StringNotEquals: { [sub]: ["other", SUBJECT] } }),
  condition(true, "StringNotEquals of an absent key", { StringNotEquals: { [email]: "a@b" } }),
  condition(false, "StringEquals of an absent key", { StringEquals: { [email]: "a@b" } }),
  condition(true, "StringEqualsIfExists of an absent key", {
    StringEqualsIfExists: { [email]: "a@b" },
  }),
  condition(false, "StringEqualsIfExists of another value", {
    StringEqualsIfExists: { [sub]: "other" },
  }),
  condition(true, "StringLikeIfExists of a matching value", {
    StringLikeIfExists: { [sub]: "system:*" },
  }),
  condition(true, "Null true of an absent key", { Null: { [email]: "true" } }),
  condition(false, "Null true of a present key", { Null: { [sub]: "true" } }),
  condition(true, "Null false of a present key, as a boolean", { Null: { [sub]: false } }),
  condition(false, "Null false of an absent key", { Null: { [email]: "false" } }),
  condition(true, "aud is the azp", { StringEquals: { [aud]: "sts.amazonaws.com" } }, twoAudiences),
  condition(
    true,
    "ForAnyValue over oaud, which is all aud",
    { "ForAnyValue:StringEquals": { [oaud]: "other" } },
    twoAudiences,
  ),
  condition(
    false,
    "ForAnyValue over oaud, none",
    { "ForAnyValue:StringEquals": { [oaud]: "third" } },
    twoAudiences,
  ),
  condition(
    true,
    "ForAllValues over oaud",
    { "ForAllValues:StringLike": { [oaud]: ["sts.*", "other"] } },
    twoAudiences,
  ),
  condition(
    false,
    "ForAllValues over oaud, one is not listed",
    { "ForAllValues:StringEquals": { [oaud]: ["sts.amazonaws.com"] } },
    twoAudiences,
  ),
  condition(
    false,
    "StringEquals of a key with several values",
    { StringEquals: { [oaud]: "other" } },
    twoAudiences,
  ),
  condition(true, "ForAllValues of an absent key", { "ForAllValues:StringEquals": { [amr]: "x" } }),
  condition(false, "ForAnyValue of an absent key", { "ForAnyValue:StringEquals": { [amr]: "x" } }),
  condition(false, "ForAnyValue with a negation, of an absent key", {
    "ForAnyValue:StringNotEquals": { [amr]: "x" },
  }),
  condition(true, "ForAnyValueIfExists of an absent key", {
    "ForAnyValue:StringEqualsIfExists": { [amr]: "x" },
  }),
  condition(
    true,
    "amr, if claimed",
    { "ForAnyValue:StringEquals": { [amr]: "mfa" } },
    { amr: ["pwd", "mfa"] },
  ),
  condition(true, "email, if claimed", { StringEquals: { [email]: "a@b" } }, { email: "a@b" }),
  condition(true, "sts:RoleSessionName", { StringEquals: { "sts:RoleSessionName": "session" } }),
  condition(false, "sts:RoleSessionName, another", {
    StringEquals: { "sts:RoleSessionName": "other" },
  }),
  condition(
    true,
    "sts:RoleAuthorizedByIdp, when the token lists the role",
    { Bool: { "sts:RoleAuthorizedByIdp": "true" } },
    { "https://aws.amazon.com/roles": "the role's own ARN" },
  ),
  condition(false, "sts:RoleAuthorizedByIdp, when the token lists none", {
    Bool: { "sts:RoleAuthorizedByIdp": "true" },
  }),
  condition(true, "aws:userid is the provider's ARN", {
    StringEquals: { "aws:userid": providerArn },
  }),
  condition(true, "aws:PrincipalType is User", { StringEquals: { "aws:PrincipalType": "User" } }),
  condition(true, "aws:PrincipalAccount is the provider's account", {
    StringEquals: { "aws:PrincipalAccount": "111122223333" },
  }),
  condition(true, "aws:PrincipalArn is absent", { Null: { "aws:PrincipalArn": "true" } }),
  condition(
    false,
    "a claim of one's own is no key",
    { StringEquals: { [`${cluster.hostPath}:team`]: "payments" } },
    { team: "payments" },
  ),
  condition(
    false,
    "kubernetes.io is no key",
    { Null: { [`${cluster.hostPath}:kubernetes.io`]: "false" } },
    { "kubernetes.io": { namespace: "payments" } },
  ),
  {
    name: "aws:RequestTag and sts:TagSession",
    allowed: true,
    change: {
      Action: ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
      Condition: { StringEquals: { "aws:RequestTag/Team": "payments" } },
    },
    claims: tags,
  },
  {
    name: "aws:RequestTag of another value",
    allowed: false,
    change: {
      Action: ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
      Condition: { StringEquals: { "aws:RequestTag/Team": "other" } },
    },
    claims: tags,
  },
  { name: "tags without sts:TagSession", allowed: false, claims: tags },
  {
    name: "sts:TagSession allowed by another statement",
    allowed: true,
    statements: [allow, { ...allow, Action: "sts:TagSession" }],
    claims: tags,
  },
  {
    name: "sts:SourceIdentity",
    allowed: true,
    change: {
      Action: ["sts:AssumeRoleWithWebIdentity", "sts:SetSourceIdentity"],
      Condition: { StringEquals: { "sts:SourceIdentity": "alice" } },
    },
    claims: { "https://aws.amazon.com/source_identity": "alice" },
  },
  { name: "Action sts:*", allowed: true, change: { Action: "sts:*" } },
  { name: "Action sts:AssumeRole*", allowed: true, change: { Action: "sts:AssumeRole*" } },
  {
    name: "Action in another case",
    allowed: true,
    change: { Action: "STS:assumerolewithwebidentity" },
  },
  { name: "Action sts:AssumeRole only", allowed: false, change: { Action: "sts:AssumeRole" } },
  {
    name: "Action sts:AssumeRoleWithSAML only",
    allowed: false,
    change: { Action: ["sts:AssumeRoleWithSAML"] },
  },
  {
    name: "another provider",
    allowed: false,
    change: { Principal: { Federated: `${providerArn}/` } },
  },
  {
    name: "one of several providers",
    allowed: true,
    change: { Principal: { Federated: ["cognito-identity.amazonaws.com", providerArn] } },
  },
  { name: 'Principal {"AWS": "*"}', allowed: false, change: { Principal: { AWS: "*" } } },
  { name: 'Principal "*"', allowed: false, change: { Principal: "*" } },
  {
    name: "Principal Service",
    allowed: false,
    change: { Principal: { Service: "ec2.amazonaws.com" } },
  },
  {
    name: "Allow, and a Deny that does not match",
    allowed: true,
    statements: [
      allow,
      { ...allow, Effect: "Deny", Condition: { StringEquals: { [sub]: "other" } } },
    ],
  },
  {
    name: "Allow, and a Deny that matches",
    allowed: false,
    statements: [
      allow,
      { ...allow, Effect: "Deny", Condition: { StringLike: { [sub]: "system:*" } } },
    ],
  },
  {
    name: 'Allow, and a Deny for Principal "*"',
    allowed: false,
    statements: [{ Effect: "Deny", Principal: "*", ...ACTION }, allow],
  },
  { name: "a Deny alone", allowed: false, statements: [{ ...allow, Effect: "Deny" }] },
  {
    name: "an Allow of a second statement",
    allowed: true,
    statements: [{ ...allow, Condition: { StringEquals: { [sub]: "other" } } }, allow],
  },
];

describe("trust policies", () => {
  for (const [i, { name, allowed, change = {}, statements, claims = {} }] of CASES.entries()) {
    it(`${name}: ${allowed ? "allowed" : "AccessDenied"}`, async () => {
      const roleName = `case-${i}`;
      const RoleArn =
        statements === undefined
          ? await cluster.createRole(roleName, change)
          : await cluster.createRoleWith(roleName, statements);
      const listed = "https://aws.amazon.com/roles" in claims;
      const ownRole = listed ? { "https://aws.amazon.com/roles": [RoleArn] } : {};
      const WebIdentityToken = cluster.token({ ...claims, ...ownRole });
      const exchange = cluster.exchange({ RoleArn, WebIdentityToken });
      if (allowed) assert.ok((await exchange).Credentials);
      else assert.deepEqual(await wireErrorOf(exchange), NOT_AUTHORIZED);
    });
  }

  it("UpdateAssumeRolePolicy replaces the whole policy at once", async () => {
    const RoleArn = await cluster.createRole("updated");
    assert.ok((await cluster.exchange({ RoleArn })).Credentials);
    const PolicyDocument = JSON.stringify({
      Version: "2012-10-17",
      Statement: { ...allow, Condition: { StringEquals: { [sub]: "other" } } },
    });
    await iamClient(aws).send(
      new UpdateAssumeRolePolicyCommand({ RoleName: "updated", PolicyDocument }),
    );
    assert.deepEqual(await wireErrorOf(cluster.exchange({ RoleArn })), NOT_AUTHORIZED);
  });
});
