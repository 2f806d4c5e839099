import { AwsError } from "../protocol/aws-error.ts";

/** Codes and messages of AssumeRoleWithWebIdentity, as recorded from the real service. */

/** The keys could not be had, or none of them is for this token. */
export function cannotRetrieveKey(detail: string, cause?: unknown): AwsError {
  return invalidToken(
    // Two spaces after the comma: so it was recorded.
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements",
    detail,
    cause,
  );
}

/** A key is there but the token does not hold: signature, audience, a claim of the wrong kind. */
export function notValidated(detail: string): AwsError {
  return invalidToken(
    "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation for requirements.",
    detail,
  );
}

export function notAJwt(detail: string): AwsError {
  return invalidToken(
    "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
    detail,
  );
}

export function invalidToken(message: string, detail: string, cause?: unknown): AwsError {
  return new AwsError("InvalidIdentityToken", 400, message, { detail, cause });
}

export function tokenExpired(message: string): AwsError {
  return new AwsError("ExpiredTokenException", 400, message);
}

/** The trust policy says no, or there is no such role: AWS does not tell which. */
export function notAuthorized(detail: string): AwsError {
  const message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
  return new AwsError("AccessDenied", 403, message, { detail });
}
