import { parseRoleArn, partitionOfRegion } from "../../lib/arn.ts";

/** A region of each partition where STS is always switched on. */
const REGION_BY_PARTITION: Readonly<Record<string, string>> = {
  aws: "us-east-1",
  "aws-cn": "cn-north-1",
  "aws-us-gov": "us-gov-west-1",
  "aws-iso": "us-iso-east-1",
  "aws-iso-b": "us-isob-east-1",
  "aws-iso-e": "eu-isoe-west-1",
  "aws-iso-f": "us-isof-south-1",
  "aws-eusc": "eusc-de-east-1",
};

/**
 * The region whose STS is asked for a role: the one of this node, unless the role is in another
 * partition, of which no other STS knows anything.
 *
 * @param region Of this node; empty when unknown.
 */
export function stsRegionOf(roleArn: string, region: string): string {
  const partition = parseRoleArn(roleArn)?.partition ?? "aws";
  if (region !== "" && partitionOfRegion(region) === partition) return region;
  return REGION_BY_PARTITION[partition] ?? "us-east-1";
}
