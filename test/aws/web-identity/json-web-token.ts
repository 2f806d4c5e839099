import { z } from "zod";
import { notAJwt } from "./refusals.ts";

/** A compact JWS taken apart; nothing of it is verified yet. */
export interface JsonWebToken {
  readonly algorithm: string;
  readonly keyId: string | undefined;
  readonly claims: Claims;
  /** The bytes that are signed: header, dot, payload, as sent. */
  readonly signingInput: string;
  readonly signature: Buffer;
}

export type Claims = ReadonlyMap<string, unknown>;

const JsonObject = z.record(z.string(), z.unknown());
const Header = z.looseObject({ alg: z.string(), kid: z.string().optional() });

/**
 * Takes a compact JWS (RFC 7515 section 7.1) apart. `jwk`, `jku`, `x5u` and `x5c` in the header are
 * never read: the keys come from the issuer alone.
 *
 * @throws AwsError InvalidIdentityToken, also for base64url in any but its one canonical form and for
 *   a `crit` header, as the real service does.
 */
export function decodeJsonWebToken(token: string): JsonWebToken {
  const [headerPart, payloadPart, signaturePart, ...more] = token.split(".");
  if (headerPart === undefined || payloadPart === undefined || signaturePart === undefined) {
    throw notAJwt("expected three parts");
  }
  if (more.length > 0) throw notAJwt("expected three parts");
  const headerObject = parseObject(headerPart, "header");
  const header = Header.safeParse(headerObject);
  if (!header.success) throw notAJwt("the header has no alg, or a kid that is no text");
  if ("crit" in headerObject) throw notAJwt("the header has crit");
  return {
    algorithm: header.data.alg,
    keyId: header.data.kid,
    claims: new Map(Object.entries(parseObject(payloadPart, "payload"))),
    signingInput: `${headerPart}.${payloadPart}`,
    signature: decodeBase64Url(signaturePart, "signature"),
  };
}

function parseObject(part: string, name: string): Readonly<Record<string, unknown>> {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    return JsonObject.parse(JSON.parse(text.decode(decodeBase64Url(part, name))));
  } catch {
    // The cause quotes what was sent.
    throw notAJwt(`the ${name} is no JSON object in base64url`);
  }
}

function decodeBase64Url(part: string, name: string): Buffer {
  const bytes = Buffer.from(part, "base64url");
  // Node skips foreign characters, padding and stray last bits; a second spelling of the same bytes
  // is a changed token.
  if (bytes.toString("base64url") !== part) throw notAJwt(`the ${name} is not canonical base64url`);
  return bytes;
}
