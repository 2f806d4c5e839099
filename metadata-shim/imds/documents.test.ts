import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { credentialsDocument, identityDocument, roleInfoDocument } from "./documents.ts";

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

describe("credentialsDocument", () => {
  it("is EC2's, to the byte", () => {
    const document = credentialsDocument({
      accessKeyId: "ASIAEXAMPLE",
      secretAccessKey: 'a/b+c="\\',
      sessionToken: "FwoG/+==",
      issuedAtMs: nowMs,
      expiresAtMs: nowMs + 3_600_000,
    });
    const wanted = [
      "{",
      '  "Code" : "Success",',
      '  "LastUpdated" : "2026-01-02T03:04:05Z",',
      '  "Type" : "AWS-HMAC",',
      '  "AccessKeyId" : "ASIAEXAMPLE",',
      '  "SecretAccessKey" : "a/b+c=\\"\\\\",',
      '  "Token" : "FwoG/+==",',
      '  "Expiration" : "2026-01-02T04:04:05Z"',
      "}",
    ];
    assert.equal(document, wanted.join("\n"));
  });
});

const infoOf = (arn: string) => JSON.parse(roleInfoDocument(arn, nowMs) ?? "null");

describe("roleInfoDocument", () => {
  it("has partition and account of the role, and the same id each time", () => {
    const info = infoOf("arn:aws-cn:iam::111122223333:role/team/app");
    assert.match(info.InstanceProfileId, /^AIPA[A-Z2-7]{17}$/);
    assert.deepEqual(info, {
      Code: "Success",
      LastUpdated: "2026-01-02T03:04:05Z",
      InstanceProfileArn: "arn:aws-cn:iam::111122223333:instance-profile/app",
      InstanceProfileId: info.InstanceProfileId,
    });
    assert.deepEqual(infoOf("arn:aws-cn:iam::111122223333:role/team/app"), info);
  });

  it("is none for what is no role", () => assert.equal(infoOf("arn:bad"), null));
});

describe("identityDocument", () => {
  it("says what is configured, and null for the rest", () => {
    const facts = { region: "eu-west-1", availabilityZone: "eu-west-1a" };
    const options = { accountId: "111122223333", startedAtMs: nowMs };
    assert.deepEqual(JSON.parse(identityDocument(facts, options)), {
      accountId: "111122223333",
      architecture: null,
      availabilityZone: "eu-west-1a",
      billingProducts: null,
      devpayProductCodes: null,
      marketplaceProductCodes: null,
      imageId: null,
      instanceId: null,
      instanceType: null,
      kernelId: null,
      pendingTime: "2026-01-02T03:04:05Z",
      privateIp: null,
      ramdiskId: null,
      region: "eu-west-1",
      version: "2017-09-30",
    });
  });
});
