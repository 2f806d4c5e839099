import { AwsError } from "../protocol/aws-error.ts";
import type { QueryActions } from "../protocol/query-action.ts";
import { optionalText, readParameters, text } from "../protocol/validation.ts";
import type { Account } from "../store.ts";
import { newUniqueId } from "../unique-ids.ts";
import { deleteConflict, entityAlreadyExists, noSuchEntity } from "./entity-errors.ts";

const CREATE = {
  PolicyName: text({ min: 1, max: 128, pattern: "[\\w+=,.@-]+" }),
  Path: optionalText({ min: 1, max: 512, pattern: "(\\u002F)|(\\u002F[\\u0021-\\u007E]+\\u002F)" }),
  PolicyDocument: text({ min: 1, max: 131_072 }),
};
const ARN = { PolicyArn: text({ min: 20, max: 2048 }) };

/** The few actions of IAM for customer managed policies, so that there are some to attach. */
export const policyActions: QueryActions = {
  CreatePolicy: {
    access: "administrator",
    run({ parameters, nowMs }, { account }) {
      const { PolicyName, Path = "/", PolicyDocument } = readParameters(parameters, CREATE);
      assertPolicyDocument(PolicyDocument);
      const arn = `arn:${account.partition}:iam::${account.id}:policy${Path}${PolicyName}`;
      if (account.policies.has(arn)) {
        throw entityAlreadyExists(`A policy called ${PolicyName} already exists.`);
      }
      account.policies.set(arn, PolicyDocument);
      const createDate = new Date(nowMs).toISOString();
      return {
        Policy: {
          PolicyName,
          PolicyId: newUniqueId("ANPA"),
          Arn: arn,
          Path,
          DefaultVersionId: "v1",
          AttachmentCount: 0,
          IsAttachable: true,
          CreateDate: createDate,
          UpdateDate: createDate,
        },
      };
    },
  },
  DeletePolicy: {
    access: "administrator",
    run({ parameters }, { account }) {
      const { PolicyArn } = readParameters(parameters, ARN);
      if (!account.policies.has(PolicyArn)) {
        throw noSuchEntity(`Policy ${PolicyArn} was not found.`);
      }
      const users = [...account.roles.values()].filter((role) =>
        role.attachedPolicies.includes(PolicyArn),
      );
      if (users.length > 0) {
        throw deleteConflict("Cannot delete a policy attached to entities.");
      }
      account.policies.delete(PolicyArn);
      return undefined;
    },
  },
};

/**
 * Checks that a managed policy can be attached: one of the account's own, or any of AWS's, whose list
 * is not kept here.
 *
 * @throws AwsError NoSuchEntity
 */
export function assertPolicyExists(account: Account, arn: string): void {
  const ofAws = `arn:${account.partition}:iam::aws:policy/`;
  if (account.policies.has(arn) || (arn.startsWith(ofAws) && arn.length > ofAws.length)) return;
  throw noSuchEntity(`Policy ${arn} does not exist or is not attachable.`);
}

/** Rough check of a permission policy. @throws AwsError MalformedPolicyDocument */
export function assertPolicyDocument(document: string): void {
  let parsed: unknown;
  try {
    parsed = JSON.parse(document);
  } catch {
    throw new AwsError("MalformedPolicyDocument", 400, "This policy contains invalid Json");
  }
  if (typeof parsed === "object" && parsed !== null && "Statement" in parsed) return;
  throw new AwsError("MalformedPolicyDocument", 400, "Syntax errors in policy.");
}
