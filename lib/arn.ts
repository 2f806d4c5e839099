/** The parts of an IAM role ARN. */
export interface RoleArn {
  readonly partition: string;
  readonly accountId: string;
  /** Starts and ends with a slash; `/` when the role has no path. */
  readonly path: string;
  readonly roleName: string;
}

// IAM User Guide, "IAM identifiers": the role's name is the last path element, 1-64 of these
// characters; the path before it may hold more.
const ROLE_ARN =
  /^arn:(aws[a-z0-9-]*):iam::(\d{12}):role(\/(?:[\x21-\x7e]+\/)?)([\w+=,.@-]{1,64})$/;

/** Of `RoleArn` in the API of STS, in characters: no role has more, whatever an annotation holds. */
export const MAX_ROLE_ARN_LENGTH = 2048;

/** Reads an IAM role ARN; undefined when the text is none. White space around it is not forgiven. */
export function parseRoleArn(text: string): RoleArn | undefined {
  if (text.length > MAX_ROLE_ARN_LENGTH) return undefined;
  const [, partition, accountId, path, roleName] = ROLE_ARN.exec(text) ?? [];
  if (partition === undefined || accountId === undefined) return undefined;
  if (path === undefined || roleName === undefined) return undefined;
  return { partition, accountId, path, roleName };
}

const PARTITION_BY_REGION_PREFIX: readonly (readonly [string, string])[] = [
  ["cn-", "aws-cn"],
  ["us-gov-", "aws-us-gov"],
  ["us-isob-", "aws-iso-b"],
  ["us-isof-", "aws-iso-f"],
  ["eu-isoe-", "aws-iso-e"],
  ["us-iso-", "aws-iso"],
  ["eusc-", "aws-eusc"],
];

/** The partition a region belongs to: `aws` unless its prefix says otherwise. */
export function partitionOfRegion(region: string): string {
  return PARTITION_BY_REGION_PREFIX.find(([prefix]) => region.startsWith(prefix))?.[1] ?? "aws";
}
