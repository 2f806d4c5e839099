import { AwsError } from "../protocol/aws-error.ts";
import { structureListParameter, type QueryParameters } from "../protocol/query-parameters.ts";
import { integer, optionalText, readParameters, text } from "../protocol/validation.ts";

/** The checked parameters of AssumeRoleWithWebIdentity. */
export interface AssumeRoleParameters {
  readonly roleArn: string;
  readonly roleSessionName: string;
  readonly webIdentityToken: string;
  readonly providerId: string | undefined;
  readonly durationSeconds: number;
  readonly policy: string | undefined;
  readonly policyArns: readonly string[];
}

// Limits of the STS API reference, AssumeRoleWithWebIdentity.
const FIELDS = {
  RoleArn: text({ min: 20, max: 2048 }),
  RoleSessionName: text({ min: 2, max: 64, pattern: "[\\w+=,.@-]*" }),
  WebIdentityToken: text({ min: 4, max: 20_000, sensitive: true }),
  ProviderId: optionalText({ min: 4, max: 2048 }),
  DurationSeconds: integer({ min: 900, max: 43_200, fallback: 3600 }),
  Policy: optionalText({ min: 1, max: 2048 }),
};

const MAX_POLICY_ARNS = 10;
const MAX_POLICY_CHARACTERS = 2048;

/** Reads the parameters. @throws AwsError ValidationError, MalformedPolicyDocument */
export function readAssumeRoleParameters(parameters: QueryParameters): AssumeRoleParameters {
  const fields = readParameters(parameters, FIELDS);
  const policyArns = structureListParameter(parameters, "PolicyArns", ["arn"]).flatMap(
    ({ arn }) => arn ?? [],
  );
  if (policyArns.length > MAX_POLICY_ARNS) {
    const message = `1 validation error detected: Value at 'policyArns' failed to satisfy constraint: Member must have length less than or equal to ${MAX_POLICY_ARNS}`;
    throw new AwsError("ValidationError", 400, message);
  }
  checkSessionPolicy(fields.Policy, policyArns);
  return {
    roleArn: fields.RoleArn,
    roleSessionName: fields.RoleSessionName,
    webIdentityToken: fields.WebIdentityToken,
    providerId: fields.ProviderId,
    durationSeconds: fields.DurationSeconds,
    policy: fields.Policy,
    policyArns,
  };
}

function checkSessionPolicy(policy: string | undefined, arns: readonly string[]): void {
  const characters = (policy ?? "").length + arns.join("").length;
  if (characters > MAX_POLICY_CHARACTERS) {
    const message = `1 validation error detected: Value at 'policy' failed to satisfy constraint: Member must have length less than or equal to ${MAX_POLICY_CHARACTERS}`;
    throw new AwsError("ValidationError", 400, message);
  }
  if (policy === undefined) return;
  try {
    const parsed: unknown = JSON.parse(policy);
    if (typeof parsed === "object" && parsed !== null && "Statement" in parsed) return;
  } catch {
    throw new AwsError("MalformedPolicyDocument", 400, "This policy contains invalid Json");
  }
  throw new AwsError("MalformedPolicyDocument", 400, "Syntax errors in policy.");
}
