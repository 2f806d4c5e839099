import { createHash } from "node:crypto";
import { parseRoleArn } from "../../lib/arn.ts";
import type { Credentials } from "../credentials/credentials.ts";
import type { InstanceFacts } from "./metadata-tree.ts";

/**
 * Writes credentials as EC2 does, in its order and its spaces (EC2 User Guide, "Retrieve security
 * credentials from instance metadata").
 */
export function credentialsDocument(credentials: Credentials): string {
  return pretty({
    Code: "Success",
    LastUpdated: metadataTime(credentials.issuedAtMs),
    Type: "AWS-HMAC",
    AccessKeyId: credentials.accessKeyId,
    SecretAccessKey: credentials.secretAccessKey,
    Token: credentials.sessionToken,
    Expiration: metadataTime(credentials.expiresAtMs),
  });
}

/**
 * Writes `iam/info` for a role. Clients take partition and account from the ARN, which is that of an
 * instance profile with the name of the role; its id is made of the ARN, as there is no profile.
 *
 * @returns undefined when the role is no ARN of a role.
 */
export function roleInfoDocument(roleArn: string, nowMs: number): string | undefined {
  const role = parseRoleArn(roleArn);
  if (role === undefined) return undefined;
  const { partition, accountId, roleName } = role;
  return pretty({
    Code: "Success",
    LastUpdated: metadataTime(nowMs),
    InstanceProfileArn: `arn:${partition}:iam::${accountId}:instance-profile/${roleName}`,
    InstanceProfileId: profileIdOf(roleArn),
  });
}

/**
 * Writes the instance identity document: what the configuration says of the machine, and `null` for
 * what it does not, as EC2 does for what an instance does not have.
 *
 * @param options.accountId The account of the pod's role; undefined when it has none.
 * @param options.startedAtMs What stands for the launch of the instance: Go's SDK wants a time there.
 */
export function identityDocument(
  facts: InstanceFacts,
  {
    accountId,
    startedAtMs,
  }: { readonly accountId: string | undefined; readonly startedAtMs: number },
): string {
  return pretty({
    accountId: accountId ?? null,
    architecture: null,
    availabilityZone: facts.availabilityZone ?? null,
    billingProducts: null,
    devpayProductCodes: null,
    marketplaceProductCodes: null,
    imageId: facts.imageId ?? null,
    instanceId: facts.instanceId ?? null,
    instanceType: facts.instanceType ?? null,
    kernelId: null,
    pendingTime: metadataTime(startedAtMs),
    privateIp: facts.localIpv4 ?? null,
    ramdiskId: null,
    region: facts.region ?? null,
    version: "2017-09-30",
  });
}

/** A time as the metadata service writes it: whole seconds, and `Z`, which Go's SDKs insist on. */
export function metadataTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

function pretty(fields: Readonly<Record<string, string | null>>): string {
  const lines = Object.entries(fields).map(
    ([name, value]) => `  ${JSON.stringify(name)} : ${JSON.stringify(value)}`,
  );
  return `{\n${lines.join(",\n")}\n}`;
}

const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const PROFILE_ID_LENGTH = 17;

function profileIdOf(roleArn: string): string {
  const hash = createHash("sha256").update(roleArn).digest().subarray(0, PROFILE_ID_LENGTH);
  return `AIPA${[...hash].map((byte) => BASE32.charAt(byte % BASE32.length)).join("")}`;
}
