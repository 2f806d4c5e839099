import type { CredentialFailure } from "./credentials.ts";

/** What of a failed call to STS decides: as the AWS SDK throws it, or any other error. */
export interface StsError {
  /** The code on the wire, or one of ours when there was no answer. */
  readonly code: string;
  /** HTTP status; undefined when there was no answer. */
  readonly status: number | undefined;
  readonly message: string;
}

/** Code of a call whose connection broke before an answer. */
export const CONNECTION_CUT = "ConnectionCut";

const THROTTLING: ReadonlySet<string> = new Set([
  "Throttling",
  "ThrottlingException",
  "ThrottledException",
  "RequestLimitExceeded",
  "RequestThrottled",
  "TooManyRequestsException",
  "SlowDown",
]);

// The token had ended before it was read, or kubelet is late: the next one may be good.
const EXPIRED: ReadonlySet<string> = new Set(["ExpiredTokenException", "ExpiredToken"]);

const MAX_MESSAGE_CHARACTERS = 300;

/**
 * What a failed AssumeRoleWithWebIdentity means for whoever waits for it.
 *
 * `InvalidIdentityToken` stands for a token that will never be good, but also for an issuer that AWS
 * could not ask just then ("Couldn't retrieve verification key"), which is an outage.
 */
export function stsFailure({ code, status, message }: StsError): CredentialFailure {
  const told = { code, message: message.slice(0, MAX_MESSAGE_CHARACTERS) };
  if (THROTTLING.has(code) || status === 429) return { kind: "throttled", ...told };
  const isIssuerOut =
    code === "IDPCommunicationError" ||
    (code === "InvalidIdentityToken" && /retrieve verification key/i.test(message));
  const isOutage = status === undefined || status >= 500 || isIssuerOut || EXPIRED.has(code);
  return { kind: isOutage ? "unavailable" : "refused", ...told };
}
