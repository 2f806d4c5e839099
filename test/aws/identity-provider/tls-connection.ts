import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { checkServerIdentity, connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { endpointOf, type NameTable } from "./endpoint.ts";
import { presentedChain, thumbprintOf } from "./presented-chain.ts";

/** How the servers of identity providers are reached and trusted. */
export interface Network {
  readonly names: NameTable;
  /** The authorities that stand for the public ones, PEM. Nothing else is trusted. */
  readonly trustCaPems: readonly string[];
}

/** The server's certificate is neither publicly trusted nor vouched for by a thumbprint. */
export class UntrustedCertificateError extends Error {
  override readonly name = "UntrustedCertificateError";
}

/**
 * Connects to an https server and makes sure of its certificate as AWS documents it (IAM User Guide,
 * "Obtain the thumbprint"): by the trusted authorities, else by a thumbprint of the last certificate
 * that it presents. The thumbprint is also the way when the server insists on TLS 1.3.
 *
 * @throws UntrustedCertificateError, or the error of the connection.
 */
export async function connectTrusted(
  url: URL,
  thumbprints: readonly string[],
  options: { readonly network: Network; readonly signal: AbortSignal },
): Promise<TLSSocket> {
  const { network, signal } = options;
  const byAuthority = await connectWith12(url, network, signal);
  if (byAuthority?.authorized === true) return byAuthority;
  byAuthority?.destroy();

  const last = await lastCertificate(url, network, signal);
  if (!thumbprints.includes(thumbprintOf(last))) {
    throw new UntrustedCertificateError(`The certificate of "${url.host}" is not trusted`);
  }
  // Certificates are public, so that one presents the right last one proves nothing: the rest of the
  // chain must lead to it, and its first certificate be for this name.
  const byThumbprint = await open(url, {
    network,
    signal,
    tls: { ca: last.toString(), allowPartialTrustChain: true },
  });
  if (byThumbprint.authorized) return byThumbprint;
  byThumbprint.destroy();
  throw new Error(`The certificate chain of "${url.host}" does not hold`);
}

/** The last certificate that a server presents, whatever it is worth. */
export async function lastCertificate(
  url: URL,
  network: Network,
  signal: AbortSignal,
): Promise<X509Certificate> {
  const socket = await open(url, { network, signal, tls: { ca: [] } });
  try {
    const last = presentedChain(socket).at(-1);
    if (last === undefined) throw new Error(`"${url.host}" presents no certificate`);
    return last;
  } finally {
    socket.destroy();
  }
}

/** Undefined when the handshake fails, as it does with a server that wants TLS 1.3. */
async function connectWith12(
  url: URL,
  network: Network,
  signal: AbortSignal,
): Promise<TLSSocket | undefined> {
  const tls: ConnectionOptions = { ca: [...network.trustCaPems], maxVersion: "TLSv1.2" };
  try {
    return await open(url, { network, signal, tls });
  } catch (err) {
    if (isHandshakeError(err)) return undefined;
    throw err;
  }
}

function isHandshakeError(err: unknown): boolean {
  const code: unknown = err instanceof Error && "code" in err ? err.code : undefined;
  return typeof code === "string" && code.startsWith("ERR_SSL_");
}

/** Opens a TLS connection whose `authorized` says whether chain and name hold. */
async function open(
  url: URL,
  options: {
    readonly network: Network;
    readonly signal: AbortSignal;
    readonly tls: ConnectionOptions;
  },
): Promise<TLSSocket> {
  const { network, signal, tls } = options;
  signal.throwIfAborted();
  const endpoint = endpointOf(url, network.names);
  if (endpoint === undefined) throw new Error(`The name "${url.hostname}" is not known`);
  const name = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const socket = connect({
    ...tls,
    ...endpoint,
    // RFC 6066 section 3: an address is never sent as a server name.
    ...(isIP(name) === 0 ? { servername: name } : {}),
    rejectUnauthorized: false,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  });
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const abort = (): void => void socket.destroy(new Error("The identity provider took too long"));
  signal.addEventListener("abort", abort, { once: true });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  socket.once("secureConnect", () => resolve(socket));
  // Stays on the socket, so that an error after the handshake is no uncaught one.
  socket.on("error", reject);
  return promise;
}
