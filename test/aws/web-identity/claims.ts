import { AwsError } from "../protocol/aws-error.ts";
import type { Claims } from "./json-web-token.ts";
import { invalidToken, notValidated, tokenExpired } from "./refusals.ts";

const REQUIRED = ["iss", "sub", "aud", "iat", "exp"] as const;

/** How far STS lets clocks differ, in seconds. */
const SKEW_SECONDS = 300;

/**
 * The issuer, of a token that has all claims that STS requires.
 *
 * @throws AwsError InvalidIdentityToken naming the first missing claim.
 */
export function issuerOf(claims: Claims): string {
  for (const name of REQUIRED) {
    if (!claims.has(name)) throw missing(name);
  }
  const issuer = claims.get("iss");
  if (typeof issuer !== "string") throw notValidated("iss is no text");
  return issuer;
}

/**
 * The audience that decides, and all of them: `azp` decides where it is claimed (also over another
 * `aud`), else the only `aud`.
 *
 * @param clientIds The provider's client ids; the deciding audience must be one.
 * @throws AwsError InvalidIdentityToken
 */
export function audienceOf(
  claims: Claims,
  clientIds: readonly string[],
): { readonly audience: string; readonly audiences: readonly string[] } {
  const aud = claims.get("aud");
  const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud];
  if (!audiences.every((item) => typeof item === "string")) {
    throw notValidated("aud is neither a text nor a list of texts");
  }
  const [first, ...others] = audiences;
  if (first === undefined) {
    throw invalidToken("Claim is not allowed to be empty: aud", "aud is an empty list");
  }
  if (others.length > 0 && !claims.has("azp")) {
    throw invalidToken(
      "Token audience contains more than one audience while authorized party is not present",
      "several aud and no azp",
    );
  }
  const audience = claims.has("azp") ? claims.get("azp") : first;
  if (typeof audience !== "string" || !clientIds.includes(audience)) {
    throw notValidated("the audience (azp, else aud) is none of the provider's client ids");
  }
  return { audience, audiences };
}

/**
 * The subject; numbers were seen to be taken as text, and no length is enforced.
 *
 * @throws AwsError InternalFailure for null, as the real service does; InvalidIdentityToken
 */
export function subjectOf(claims: Claims): string {
  const subject = claims.get("sub");
  if (subject === null) {
    const message = "Unknown error validating third-party token";
    throw new AwsError("InternalFailure", 500, message, { detail: "sub is null" });
  }
  if (typeof subject === "number") return String(subject);
  if (typeof subject !== "string") throw notValidated("sub is no text");
  return subject;
}

/**
 * Checks `exp`, `nbf` and `iat` with five minutes of skew.
 *
 * @throws AwsError ExpiredTokenException when the token is too old, InvalidIdentityToken otherwise.
 */
export function assertCurrent(claims: Claims, nowSeconds: number): void {
  const exp = timestampOf(claims, "exp");
  const iat = timestampOf(claims, "iat");
  const nbf = claims.has("nbf") ? timestampOf(claims, "nbf") : undefined;
  const earliest = nowSeconds - SKEW_SECONDS;
  const latest = nowSeconds + SKEW_SECONDS;
  if (earliest >= exp) {
    throw tokenExpired(
      `Token expired: current date/time ${earliest} must be before the expiration date/time ${exp}`,
    );
  }
  if (nbf !== undefined && latest < nbf) {
    throw invalidToken(
      `Token not yet valid: current date/time ${latest} must be after or equal to the not-before date/time ${nbf}`,
      "nbf is in the future",
    );
  }
  if (latest < iat) {
    throw invalidToken(`Token issued in the future: ${iat}`, "iat is in the future");
  }
}

/** Whole seconds as a number or as decimal text; a fraction was seen to be refused. */
function timestampOf(claims: Claims, name: string): number {
  const claim = claims.get(name);
  const seconds = typeof claim === "string" && /^\d{1,15}$/.test(claim) ? Number(claim) : claim;
  if (typeof seconds === "number" && Number.isSafeInteger(seconds)) return seconds;
  throw invalidToken("Invalid timestamp in token claims.", `${name} is no whole number`);
}

function missing(name: string): AwsError {
  return invalidToken(`Missing a required claim: ${name}`, `no ${name} in the token`);
}
