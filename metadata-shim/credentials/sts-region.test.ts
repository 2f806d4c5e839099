import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stsRegionOf } from "./sts-region.ts";

describe("stsRegionOf", () => {
  for (const [partition, region, wanted] of [
    ["aws", "eu-west-1", "eu-west-1"],
    ["aws", "", "us-east-1"],
    ["aws", "cn-north-1", "us-east-1"],
    ["aws-cn", "cn-northwest-1", "cn-northwest-1"],
    ["aws-cn", "eu-west-1", "cn-north-1"],
    ["aws-us-gov", "us-gov-east-1", "us-gov-east-1"],
    ["aws-us-gov", "us-east-1", "us-gov-west-1"],
    ["aws-iso-b", "us-isob-east-1", "us-isob-east-1"],
    ["aws-iso", "us-isob-east-1", "us-iso-east-1"],
    ["aws-eusc", "", "eusc-de-east-1"],
  ] as const) {
    it(`a role in ${partition} from ${JSON.stringify(region)}: ${wanted}`, () => {
      const roleArn = `arn:${partition}:iam::111122223333:role/app`;
      assert.equal(stsRegionOf(roleArn, region), wanted);
    });
  }
});
