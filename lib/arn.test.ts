import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRoleArn, partitionOfRegion } from "./arn.ts";

describe("parseRoleArn", () => {
  for (const [text, expected] of [
    ["arn:aws:iam::111122223333:role/reader", ["aws", "111122223333", "/", "reader"]],
    ["arn:aws-cn:iam::111122223333:role/a/b/reader", ["aws-cn", "111122223333", "/a/b/", "reader"]],
    [
      "arn:aws-us-gov:iam::111122223333:role/a+b=c,d.e@f_g-h",
      ["aws-us-gov", "111122223333", "/", "a+b=c,d.e@f_g-h"],
    ],
    [
      `arn:aws:iam::111122223333:role/${"x".repeat(64)}`,
      ["aws", "111122223333", "/", "x".repeat(64)],
    ],
  ] as const) {
    it(`reads ${text}`, () => {
      const arn = parseRoleArn(text);
      assert.deepEqual([arn?.partition, arn?.accountId, arn?.path, arn?.roleName], expected);
    });
  }

  for (const text of [
    "",
    "reader",
    " arn:aws:iam::111122223333:role/reader",
    "arn:aws:iam::111122223333:role/reader\n",
    "arn:aws:iam::11112222333:role/reader",
    "arn:aws:iam::111122223333:user/reader",
    "arn:aws:iam::111122223333:role/",
    "arn:aws:iam::111122223333:role//reader",
    "arn:aws:sts::111122223333:assumed-role/reader/session",
    `arn:aws:iam::111122223333:role/${"x".repeat(65)}`,
    `arn:aws:iam::111122223333:role/${"path/".repeat(500)}reader`,
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 100))}`, () =>
      assert.equal(parseRoleArn(text), undefined));
  }
});

describe("partitionOfRegion", () => {
  for (const [region, partition] of [
    ["eu-central-1", "aws"],
    ["cn-north-1", "aws-cn"],
    ["us-gov-west-1", "aws-us-gov"],
    ["us-iso-east-1", "aws-iso"],
    ["us-isob-east-1", "aws-iso-b"],
    ["us-isof-south-1", "aws-iso-f"],
    ["eu-isoe-west-1", "aws-iso-e"],
    ["eusc-de-east-1", "aws-eusc"],
  ] as const) {
    it(`${region} is in ${partition}`, () => assert.equal(partitionOfRegion(region), partition));
  }
});
