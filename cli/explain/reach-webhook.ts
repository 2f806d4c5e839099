import { isIP } from "node:net";
import { connect, type PeerCertificate } from "node:tls";
import { reasonOf } from "../../lib/errors.ts";
import type { TlsOutcome } from "./snapshot.ts";

const TIMEOUT_MS = 3000;

export interface WebhookAddress {
  readonly host: string;
  readonly port: number;
  /** The name that the API server wants in the certificate; that of the host when absent. */
  readonly serverName?: string | undefined;
  /** PEM; the roots of this machine when empty. */
  readonly caPem: string;
}

/** Opens a TLS connection as the API server would, looks at the certificate, and hangs up. */
export async function reachWebhook(address: WebhookAddress): Promise<TlsOutcome> {
  const { host, port, caPem, serverName = host } = address;
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const { promise, resolve } = Promise.withResolvers<TlsOutcome>();
  try {
    const socket = connect({
      host,
      port,
      // An address is no name for SNI (RFC 6066 section 3).
      ...(isIP(serverName) === 0 ? { servername: serverName } : {}),
      ...(caPem === "" ? {} : { ca: caPem }),
      // The certificate is to be looked at; nothing is sent.
      rejectUnauthorized: false,
      timeout: TIMEOUT_MS,
    });
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerCertificate();
      socket.destroy();
      resolve(
        socket.authorized
          ? { status: "trusted", address: at, expiresAtMs: Date.parse(certificate.valid_to) }
          : {
              status: "untrusted",
              address: at,
              problem: problemOf(String(socket.authorizationError), certificate, serverName),
            },
      );
    });
    socket.once("timeout", () => {
      socket.destroy(new Error(`no answer within ${TIMEOUT_MS / 1000} s`));
    });
    socket.once("error", (err) => {
      resolve({ status: "unreachable", address: at, problem: reasonOf(err) });
    });
  } catch (err) {
    // What is in caBundle is no certificate.
    resolve({ status: "untrusted", address: at, problem: reasonOf(err) });
  }
  return promise;
}

function problemOf(code: string, certificate: PeerCertificate, serverName: string): string {
  if (code === "CERT_HAS_EXPIRED") return `its certificate expired on ${certificate.valid_to}`;
  if (code === "CERT_NOT_YET_VALID") {
    return `its certificate is valid only from ${certificate.valid_from}`;
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return `its certificate is for ${certificate.subjectaltname ?? "no name"}, not for ${serverName}`;
  }
  return `its certificate is not signed by the authority in caBundle (${code})`;
}
