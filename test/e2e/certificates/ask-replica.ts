import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { TLSSocket } from "node:tls";
import { fingerprintOf } from "../../../webhook/certificates/certificate-state.ts";

/**
 * Whether a replica is ready, and which certificate it presents.
 *
 * @param ca What to believe it by; without that, it is only looked at, as kubelet's probes do.
 */
export async function askReplica(
  port: number,
  ca?: string,
): Promise<{ status: number; fingerprint: string }> {
  const options = { host: "127.0.0.1", port, path: "/readyz", agent: false };
  const asked = request({
    ...options,
    ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
  });
  const [response]: IncomingMessage[] = await once(asked.end(), "response");
  assert.ok(response?.socket instanceof TLSSocket);
  const { raw } = response.socket.getPeerCertificate();
  response.resume();
  const pem = `-----BEGIN CERTIFICATE-----\n${raw.toString("base64")}\n-----END CERTIFICATE-----\n`;
  return { status: response.statusCode ?? 0, fingerprint: fingerprintOf(pem) };
}
