import { isIP } from "node:net";

/** Where to connect for a URL: an address that needs no public DNS. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** Names that the stand-in knows, each with the `HOST:PORT` that serves it. */
export type NameTable = Readonly<Record<string, string>>;

const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);
const HTTPS_PORT = 443;

/**
 * Where an https URL is served: by the table for its host name, or on this machine for a loopback
 * issuer. Undefined for every other name: nothing is ever looked up outside.
 */
export function endpointOf(url: URL, names: NameTable): Endpoint | undefined {
  const mapped = Object.hasOwn(names, url.hostname) ? names[url.hostname] : undefined;
  if (mapped !== undefined) return parseHostPort(mapped);
  if (!LOOPBACK.has(url.hostname)) return undefined;
  const port = url.port === "" ? HTTPS_PORT : Number(url.port);
  // Listeners of tests are on the IPv4 loopback; `localhost` may mean the other one first.
  return { host: url.hostname === "[::1]" ? "::1" : "127.0.0.1", port };
}

/** Reads `HOST:PORT` (`[::1]:443` for IPv6); undefined when the text is none. */
export function parseHostPort(text: string): Endpoint | undefined {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port < 1 || port > 65_535) return undefined;
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined;
  return { host, port };
}
