import { AppError } from "../lib/errors.ts";

/** A valid issuer URL and what follows from it. */
export interface Issuer {
  /** The token's `iss`, letter by letter. */
  readonly url: string;
  /** The issuer without `https://`: the form of the provider's ARN and of condition keys. */
  readonly hostPath: string;
  readonly host: string;
  /** Empty, or starts with a slash and does not end with one. */
  readonly path: string;
}

// IAM API Reference, CreateOpenIDConnectProvider: Url is 1 to 255 characters.
const MAX_LENGTH = 255;

/**
 * Every rule of IAM's CreateOpenIDConnectProvider and of strict string comparison of `iss` that the
 * text breaks, each as a phrase that follows the quoted value; empty when the issuer can be used.
 */
export function issuerViolations(raw: string): readonly string[] {
  const url = URL.parse(raw);
  const rules: readonly (readonly [boolean, string])[] = [
    [url === null, "must be a URL"],
    [url !== null && url.protocol !== "https:", "must be https"],
    [url !== null && url.username + url.password !== "", "must not contain user info"],
    [raw.includes("?"), "must not have a query"],
    [raw.includes("#"), "must not have a fragment"],
    [hasPort(raw), "must not have a port (also not :443)"],
    [raw.endsWith("/"), "must not end with a slash"],
    [
      raw !== raw.trim() || raw.length === 0 || raw.length > MAX_LENGTH,
      `must be 1..${MAX_LENGTH} characters, no white space`,
    ],
    [
      url !== null && raw !== canonical(url),
      url === null ? "" : `is not canonical, expected ${canonical(url)}`,
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, violation]) => violation);
}

/** @throws AppError ISSUER_INVALID naming every rule that the text breaks */
export function parseIssuer(raw: string): Issuer {
  const violations = issuerViolations(raw);
  if (violations.length > 0) {
    const message = `Cannot use the issuer ${JSON.stringify(raw)}: ${violations.join("; ")}`;
    throw new AppError("ISSUER_INVALID", 500, message);
  }
  const hostPath = raw.slice("https://".length);
  const { hostname } = new URL(raw);
  return { url: raw, hostPath, host: hostname, path: hostPath.slice(hostname.length) };
}

// On the raw text, since URL drops the scheme's default port.
function hasPort(raw: string): boolean {
  const [, authority = ""] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)/i.exec(raw.trim()) ?? [];
  return /:\d*$/.test(authority.slice(authority.lastIndexOf("@") + 1));
}

// Catches upper-case hosts, dot segments, percent-encoded and internationalised host names.
function canonical({ hostname, pathname }: URL): string {
  return `https://${hostname}${pathname === "/" ? "" : pathname}`;
}
