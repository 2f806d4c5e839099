import { timingSafeEqual } from "node:crypto";
import type { Credential, Principal } from "../store.ts";
import { AwsError } from "./aws-error.ts";
import { isSignedBy, parseSignature, type PresentedSignature, type WireRequest } from "./sigv4.ts";

/** How far the time of a signature may be off, in milliseconds. */
const MAX_SKEW_MS = 15 * 60 * 1000;

/**
 * Who signed a request.
 *
 * @throws AwsError MissingAuthenticationToken, IncompleteSignature, InvalidClientTokenId (unknown
 *   key, or a session token that is not the key's), ExpiredToken, SignatureDoesNotMatch (also for a
 *   time that is off)
 */
export function authenticate(
  request: WireRequest,
  options: {
    readonly service: "sts" | "iam" | "s3";
    readonly credentials: ReadonlyMap<string, Credential>;
    readonly nowMs: number;
  },
): Principal {
  const { service, credentials, nowMs } = options;
  const presented = parseSignature(request);
  if (presented.service !== service) {
    throw doesNotMatch(`Credential should be scoped to correct service: '${service}'.`);
  }
  const credential = credentials.get(presented.accessKeyId);
  if (credential === undefined || !isSameToken(presented.sessionToken, credential.sessionToken)) {
    const message = "The security token included in the request is invalid.";
    throw new AwsError("InvalidClientTokenId", 403, message);
  }
  if (credential.expiresAtMs !== undefined && nowMs >= credential.expiresAtMs) {
    const message = "The security token included in the request is expired";
    throw new AwsError("ExpiredToken", 403, message);
  }
  assertSignedNow(presented, nowMs);
  if (!isSignedBy(credential.secretAccessKey, request, presented)) {
    throw doesNotMatch(
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
    );
  }
  return credential.principal;
}

function isSameToken(presented: string | undefined, wanted: string | undefined): boolean {
  if (presented === undefined || wanted === undefined) return presented === wanted;
  const [a, b] = [Buffer.from(presented), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

function assertSignedNow(presented: PresentedSignature, nowMs: number): void {
  const { signedAtMs, expiresSeconds, amzDate } = presented;
  const lifeMs = expiresSeconds === undefined ? MAX_SKEW_MS : expiresSeconds * 1000;
  const now = basicIso(nowMs);
  if (nowMs - signedAtMs > lifeMs) {
    const limit = basicIso(nowMs - lifeMs);
    throw doesNotMatch(
      `Signature expired: ${amzDate} is now earlier than ${limit} (${now} - ${lifeMs / 60_000} min.)`,
    );
  }
  if (signedAtMs - nowMs > MAX_SKEW_MS) {
    const limit = basicIso(nowMs + MAX_SKEW_MS);
    throw doesNotMatch(
      `Signature not yet current: ${amzDate} is still later than ${limit} (${now} + 15 min.)`,
    );
  }
}

function basicIso(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:]|\.\d{3}/g, "");
}

function doesNotMatch(message: string): AwsError {
  return new AwsError("SignatureDoesNotMatch", 403, message);
}
