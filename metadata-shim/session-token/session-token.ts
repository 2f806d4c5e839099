import { hash, timingSafeEqual } from "node:crypto";

/** Bounds of a session token's life (EC2 User Guide, "Use IMDSv2"), in seconds. */
export const MIN_TOKEN_TTL_SECONDS = 1;
export const MAX_TOKEN_TTL_SECONDS = 21_600;

export const TOKEN_KEY_BYTES = 32;
/** Of those that base64url has. */
export const TOKEN_NONCE_CHARACTERS = 8;

// As EC2's own tokens: 56 characters that begin with AQAAA, so that nothing which looks at them,
// or holds them in a header, meets anything new. They are made as text: buffers of their parts cost more.
const VERSION = "AQAAA";
/** Milliseconds since the epoch, which have so many digits from the year 2001 to 2286, and fewer before. */
const END_DIGITS = 13;
const CLAIMS_LENGTH = VERSION.length + END_DIGITS + TOKEN_NONCE_CHARACTERS;
/** 168 bits. */
const MAC_CHARACTERS = 28;
const PADDING = "==";
const TOKEN_SHAPE = /^AQAAA\d{13}[\w-]{36}==$/;

/** Whom a token is for, and what makes and proves it. */
export interface TokenScope {
  /** {@link TOKEN_KEY_BYTES} secret bytes in base64url, so that keys all have one length. */
  readonly key: string;
  /** The caller's IP address, normalised: from any other one the token is worth nothing. */
  readonly address: string;
  /** Whole milliseconds since the epoch. */
  readonly nowMs: number;
}

/**
 * Makes a session token (IMDSv2): its expiry, a nonce, and a MAC over both and the caller's address.
 * Nothing is remembered of it, so that a restart with the same key forgets none, and no caller can
 * fill a memory with them.
 *
 * @param options.nonce {@link TOKEN_NONCE_CHARACTERS} of them, which make it unlike others of the same time.
 */
export function issueSessionToken(
  { key, address, nowMs }: TokenScope,
  { ttlSeconds, nonce }: { readonly ttlSeconds: number; readonly nonce: string },
): string {
  const end = String(nowMs + ttlSeconds * 1000).padStart(END_DIGITS, "0");
  const claims = `${VERSION}${end}${nonce}`;
  return `${claims}${macOf(claims, key, address)}${PADDING}`;
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
  const claims = token.slice(0, CLAIMS_LENGTH);
  const mac = Buffer.from(token.slice(CLAIMS_LENGTH, -PADDING.length));
  const expected = Buffer.from(macOf(claims, key, address));
  if (!timingSafeEqual(mac, expected)) return undefined;
  return Number(claims.slice(VERSION.length, VERSION.length + END_DIGITS));
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

/**
 * The key before the message is a MAC with SHA-3, whose state nobody can go on from (the Keccak team,
 * "Strengths of Keccak"). It is one call, and an HMAC is most of the work of a token. Key and claims
 * each have one length, so nothing of them can be taken for a part of the address.
 */
function macOf(claims: string, key: string, address: string): string {
  return hash("sha3-256", `${key}${claims}${address}`, "base64url").slice(0, MAC_CHARACTERS);
}
