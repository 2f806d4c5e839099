import { AwsError } from "../protocol/aws-error.ts";

/** An error of S3, under its wire code (Amazon S3 API reference, "Error responses"). */
export function s3Error(code: string, status: number, message: string, cause?: unknown): AwsError {
  return new AwsError(code, status, message, cause === undefined ? {} : { cause });
}

export function accessDenied(): AwsError {
  return s3Error("AccessDenied", 403, "Access Denied");
}

/** The same refusal of a signature under the name and status that S3 has for it. */
export function inWordsOfS3(error: AwsError): AwsError {
  const { message } = error;
  if (error.code === "InvalidClientTokenId") {
    return s3Error("InvalidAccessKeyId", 403, "The AWS Access Key Id does not exist.", error);
  }
  if (error.code === "ExpiredToken") return s3Error("ExpiredToken", 400, message, error);
  if (error.code === "IncompleteSignature") {
    return s3Error("AuthorizationHeaderMalformed", 400, message, error);
  }
  if (error.code === "SignatureDoesNotMatch" && /^Signature (expired|not yet)/.test(message)) {
    return s3Error("RequestTimeTooSkewed", 403, message, error);
  }
  return error;
}
