import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { CreateRoleCommand } from "@aws-sdk/client-iam";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient } from "./fixtures/sdk-clients.ts";
import { startAws } from "./start-aws.ts";

const aws = await startAws();
after(() => aws[Symbol.asyncDispose]());
const allow = {
  Effect: "Allow",
  Principal: { Federated: "arn:aws:iam::111122223333:oidc-provider/issuer.example" },
  Action: "sts:AssumeRoleWithWebIdentity",
};

function policy(changes: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ Version: "2012-10-17", Statement: [{ ...allow, ...changes }] });
}

function policyOf(characters: number): string {
  return policy({ Sid: "x".repeat(characters - policy({ Sid: "" }).length) });
}

async function create(RoleName: string, AssumeRolePolicyDocument: string): Promise<void> {
  await iamClient(aws).send(new CreateRoleCommand({ RoleName, AssumeRolePolicyDocument }));
}

describe("malformed trust policies", () => {
  for (const [name, document, message] of [
    ["no JSON", "{", "This policy contains invalid Json"],
    ["no statement", '{"Version":"2012-10-17"}', "Syntax errors in policy."],
    ["an unknown version", policy({}).replace("2012-10-17", "2024-01-01"), "Syntax errors"],
    ["an unknown field", policy({ Actions: "sts:*" }), "Syntax errors in policy."],
    ["an unknown effect", policy({ Effect: "allow" }), "Syntax errors in policy."],
    ["Resource", policy({ Resource: "*" }), "Has prohibited field Resource"],
    ["no Principal", policy({ Principal: undefined }), "Missing required field Principal"],
    ["no Action", policy({ Action: undefined }), "Missing required field Action"],
    [
      "an action of another service",
      policy({ Action: "s3:GetObject" }),
      "AssumeRole policy may only specify STS AssumeRole actions.",
    ],
    ["a Sid with a dash", policy({ Sid: "a-b" }), "Statement IDs (SID) must be alpha-numeric."],
    [
      "a Sid twice",
      JSON.stringify({
        Version: "2012-10-17",
        Statement: [
          { ...allow, Sid: "One" },
          { ...allow, Sid: "One" },
        ],
      }),
      "Statement IDs (SID) in a single policy must be unique.",
    ],
    ["a wildcard provider", policy({ Principal: { Federated: "*" } }), "Invalid principal"],
    [
      "an operator that is not known here",
      policy({ Condition: { IpAddress: { "aws:SourceIp": "10.0.0.0/8" } } }),
      'The condition operator "IpAddress" is not known to this stand-in',
    ],
    [
      "a misspelt operator",
      policy({ Condition: { StringEqual: { "issuer.example:sub": "x" } } }),
      'The condition operator "StringEqual" is not known to this stand-in',
    ],
    [
      "NullIfExists",
      policy({ Condition: { NullIfExists: { "issuer.example:sub": "true" } } }),
      'The condition operator "NullIfExists" is not known',
    ],
    [
      "a policy variable",
      policy({ Condition: { StringEquals: { "issuer.example:sub": "${aws:username}" } } }),
      "The policy variable at",
    ],
    ["NotPrincipal", policy({ NotPrincipal: { AWS: "*" } }), "NotPrincipal is not known"],
    ["NotAction", policy({ NotAction: "sts:AssumeRole" }), "NotAction is not known"],
  ] as const) {
    it(`${name}: MalformedPolicyDocument`, async () => {
      const error = await wireErrorOf(create("malformed", document));
      assert.deepEqual([error.code, error.status], ["MalformedPolicyDocument", 400]);
      assert.ok(error.message.includes(message), error.message);
    });
  }

  it("2048 characters without white space are taken, 2049 exceed the quota", async () => {
    await create("long", policyOf(2048).replace("{", `{${" ".repeat(100)}`));
    assert.deepEqual(await wireErrorOf(create("longer", policyOf(2049))), {
      code: "LimitExceeded",
      status: 409,
      message: "Cannot exceed quota for ACLSizePerRole: 2048",
    });
  });
});
