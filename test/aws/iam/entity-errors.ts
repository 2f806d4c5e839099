import { AwsError } from "../protocol/aws-error.ts";

/** Error codes that IAM actions share (IAM API reference, common to its entities). */

export function noSuchEntity(message: string): AwsError {
  return new AwsError("NoSuchEntity", 404, message);
}

export function entityAlreadyExists(message: string): AwsError {
  return new AwsError("EntityAlreadyExists", 409, message);
}

export function invalidInput(message: string): AwsError {
  return new AwsError("InvalidInput", 400, message);
}

/** @param quota IAM's name of the quota, such as `RolesPerAccount`. */
export function quotaExceeded(quota: string, limit: number): AwsError {
  return new AwsError("LimitExceeded", 409, `Cannot exceed quota for ${quota}: ${limit}`);
}

export function deleteConflict(message: string): AwsError {
  return new AwsError("DeleteConflict", 409, message);
}
