import { randomBytes } from "node:crypto";

// IAM User Guide, "IAM identifiers": unique ids are a prefix and letters and digits of base32.
const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** A unique id of 21 characters, such as a role's `AROA…`. */
export function newUniqueId(prefix: "AROA" | "AIDA" | "ANPA"): string {
  return prefix + randomText(17);
}

/** A random access key: `AKIA` for a long-lived one, `ASIA` for a session. */
export function newAccessKey(prefix: "AKIA" | "ASIA"): {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
} {
  return {
    accessKeyId: prefix + randomText(16),
    secretAccessKey: randomBytes(30).toString("base64"),
  };
}

/** An opaque session token, as long as AWS's are. */
export function newSessionToken(): string {
  return randomBytes(270).toString("base64");
}

function randomText(length: number): string {
  return Array.from(randomBytes(length), (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}
