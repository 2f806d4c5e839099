import { createHmac, timingSafeEqual, type KeyObject } from "node:crypto";

/** Bounds of a session token's life (EC2 User Guide, "Use IMDSv2"), in seconds. */
export const MIN_TOKEN_TTL_SECONDS = 1;
export const MAX_TOKEN_TTL_SECONDS = 21_600;

export const TOKEN_KEY_BYTES = 32;
export const TOKEN_NONCE_BYTES = 6;

// As EC2's own tokens: 56 characters that begin with AQAAA, so that nothing which looks at them,
// or holds them in a header, meets anything new.
const VERSION = Buffer.from([1, 0, 0, 0]);
const EXPIRY_BYTES = 6;
const MAC_BYTES = 24;
const CLAIMS_BYTES = VERSION.length + EXPIRY_BYTES + TOKEN_NONCE_BYTES;
const TOKEN_SHAPE = /^[\w-]{54}==$/;

/** Whom a token is for, and what makes and proves it. */
export interface TokenScope {
  /** Of {@link TOKEN_KEY_BYTES} secret bytes; as bytes it would be made a key for each request. */
  readonly key: KeyObject;
  /** The caller's IP address, normalised: from any other one the token is worth nothing. */
  readonly address: string;
  readonly nowMs: number;
}

/**
 * Makes a session token (IMDSv2): its expiry, a nonce, and a MAC over both and the caller's address.
 * Nothing is remembered of it, so that a restart with the same key forgets none, and no caller can
 * fill a memory with them.
 *
 * @param options.nonce {@link TOKEN_NONCE_BYTES} bytes that make it unlike others of the same time.
 */
export function issueSessionToken(
  { key, address, nowMs }: TokenScope,
  { ttlSeconds, nonce }: { readonly ttlSeconds: number; readonly nonce: Buffer },
): string {
  const claims = Buffer.alloc(CLAIMS_BYTES);
  VERSION.copy(claims);
  claims.writeUIntBE(nowMs + ttlSeconds * 1000, VERSION.length, EXPIRY_BYTES);
  nonce.copy(claims, VERSION.length + EXPIRY_BYTES, 0, TOKEN_NONCE_BYTES);
  return textOf(Buffer.concat([claims, macOf(claims, key, address)]));
}

/**
 * Tells when a session token ends, in milliseconds since the epoch; undefined when it is not one that
 * this key made for this address. At its end it no longer holds.
 */
export function tokenEndMs(
  token: string,
  { key, address }: Pick<TokenScope, "key" | "address">,
): number | undefined {
  if (!TOKEN_SHAPE.test(token)) return undefined;
  const bytes = Buffer.from(token, "base64url");
  // Bits that the last character has and no byte needs would give one token several spellings.
  if (textOf(bytes) !== token) return undefined;
  const claims = bytes.subarray(0, CLAIMS_BYTES);
  if (!claims.subarray(0, VERSION.length).equals(VERSION)) return undefined;
  if (!timingSafeEqual(bytes.subarray(CLAIMS_BYTES), macOf(claims, key, address))) return undefined;
  return claims.readUIntBE(VERSION.length, EXPIRY_BYTES);
}

/**
 * Reads the header of a token request. Undefined when it is missing, is no whole number, or is out of
 * bounds; a header that is there twice arrives as a list, which is no number either.
 */
export function parseTokenTtl(header: string | undefined): number | undefined {
  if (header === undefined || !/^\d{1,5}$/.test(header)) return undefined;
  const seconds = Number(header);
  const isAllowed = seconds >= MIN_TOKEN_TTL_SECONDS && seconds <= MAX_TOKEN_TTL_SECONDS;
  return isAllowed ? seconds : undefined;
}

function textOf(token: Buffer): string {
  return `${token.toString("base64url")}==`;
}

function macOf(claims: Buffer, key: KeyObject, address: string): Buffer {
  const mac = createHmac("sha256", key).update(claims).update(address).digest();
  return mac.subarray(0, MAC_BYTES);
}
