import { createHash, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { Authority } from "../../lib/certificates.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";

/** Everything that replicas share about their certificates. */
export interface CertificateState {
  /** The serving certificate followed by its CA, and its key; the signing CA issued it. */
  readonly serving: KeyPair;
  /** The CA that issues serving certificates. */
  readonly signing: Authority;
  /** A new CA that is trusted already and does not issue yet. */
  readonly next?: NextAuthority | undefined;
  /** The CA before, which is trusted still; its key is gone. */
  readonly old?: OldAuthority | undefined;
}

export interface NextAuthority {
  readonly authority: Authority;
  /** Since when every webhook configuration has it, milliseconds since the epoch. */
  readonly inForceSinceMs?: number | undefined;
}

export interface OldAuthority {
  readonly cert: string;
  /** When the serving certificate of the new CA took over, milliseconds since the epoch. */
  readonly replacedMs: number;
}

/** How long certificates live and which names they are for. */
export interface CertificateSettings {
  /** DNS names and IP addresses of the serving certificate. */
  readonly names: readonly [string, ...string[]];
  readonly certificateLifetimeMs: number;
  /** How long before its end a serving certificate is renewed. */
  readonly renewBeforeMs: number;
  readonly caLifetimeMs: number;
  /** How long two CAs are trusted side by side, before and again after the switch. */
  readonly caOverlapMs: number;
}

/** The CA certificates that clients must trust, PEM. */
export function caBundleOf({ signing, next, old }: CertificateState): string {
  return [signing.cert, next?.authority.cert ?? "", old?.cert ?? ""].join("");
}

/** When the first certificate of a PEM text expires, milliseconds since the epoch. */
export function expiryMsOf(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime();
}

/** Whether a certificate is for a name or address, as a client would judge it. */
export function isFor(pem: string, name: string): boolean {
  const certificate = new X509Certificate(pem);
  const match = isIP(name) === 0 ? certificate.checkHost(name) : certificate.checkIP(name);
  return match !== undefined;
}

/** A short name of a certificate for logs, which tells nothing about its key. */
export function fingerprintOf(pem: string): string {
  return createHash("sha256").update(new X509Certificate(pem).raw).digest("hex").slice(0, 16);
}
