import { createHash, type X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** More certificates than any server sends in earnest. */
const MAX_CERTIFICATES = 20;

/**
 * The certificates that a server presented, in its order. `getPeerCertificate(true)` would rebuild
 * the chain and add the root from the local trust store, so it cannot tell which came last.
 */
export function presentedChain(socket: TLSSocket): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < MAX_CERTIFICATES) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}

/** IAM's thumbprint of a certificate: SHA-1 over its DER, in lower-case hex. */
export function thumbprintOf(certificate: X509Certificate): string {
  return createHash("sha1").update(certificate.raw).digest("hex");
}
