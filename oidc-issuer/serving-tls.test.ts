import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { createAuthority, issueServingCertificate } from "../lib/certificates.ts";
import type { KeyPair } from "../lib/server-certificate.ts";
import { createFakeCluster, jwksAnswer } from "../test/fakes/key-api-server.ts";
import {
  askServers,
  HOUR_MS,
  keys,
  kidsOf,
  messages,
  metric,
  send,
  startMovedIssuer,
  temporaryFolder,
} from "../test/fakes/running-issuer.ts";
import { until } from "../test/fakes/until.ts";
import { type RunningIssuer } from "./main.ts";

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const cluster = resources.use(await createFakeCluster());

describe("serving over TLS", () => {
  const validity = { notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + HOUR_MS };
  const PEM = { cert: "tls.crt", key: "tls.key" };

  async function write(folder: string, pair: KeyPair): Promise<void> {
    await writeFile(join(folder, PEM.cert), pair.cert);
    await writeFile(join(folder, PEM.key), pair.key);
  }

  it("exchanges the certificate while serving, and keeps it when the new one is unreadable", async (t) => {
    const folder = await temporaryFolder(cluster, t);
    const authority = await createAuthority("public authority", validity);
    const make = () => issueServingCertificate(authority, ["oidc.example.com"], validity);
    const [first, second] = [await make(), await make()];
    await write(folder, first);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const tls = ["--tls-cert", join(folder, PEM.cert), "--tls-key", join(folder, PEM.key)];
    await using running = await startMovedIssuer(...(await askServers(cluster, server)), ...tls);
    const { issuer, clock, lines } = running;
    await issuer.whenReady();

    const sent = request({
      host: "127.0.0.1",
      port: issuer.port,
      path: "/prod/openid/v1/jwks",
      servername: "oidc.example.com",
      headers: { host: "oidc.example.com", connection: "close" },
      ca: authority.cert,
    });
    const { status, body } = await send(sent);
    assert.deepEqual([status, kidsOf(body)], [200, ["a"]]);
    const sample = "oidc_serving_cert_not_after_timestamp_seconds";
    const expiresMs = new X509Certificate(first.cert).validToDate.getTime();
    assert.equal(await metric(issuer, sample), expiresMs / 1000);

    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const peer = await handshake(issuer, { ca: authority.cert, maxVersion });
      assert.deepEqual([peer.serial, peer.protocol], [serialOf(first), maxVersion]);
    }

    await writeFile(join(folder, PEM.cert), first.cert.slice(0, 100));
    clock.advance(10_000);
    const KEPT = "Could not read the new certificate; the old one stays";
    await until("the bad one is noticed", () => messages(lines).includes(KEPT));
    assert.equal((await handshake(issuer, { ca: authority.cert })).serial, serialOf(first));

    await write(folder, second);
    await until("the watch sleeps again", () => clock.sleepers().length >= 4);
    clock.advance(10_000);
    await until("the new one is served", () =>
      messages(lines).includes("Serving a new certificate"),
    );
    assert.equal((await handshake(issuer, { ca: authority.cert })).serial, serialOf(second));
  });

  it("does not start with a certificate that it cannot use", async (t) => {
    const folder = await temporaryFolder(cluster, t);
    await write(folder, { cert: "nothing", key: "nothing" });
    const tls = ["--tls-cert", join(folder, PEM.cert), "--tls-key", join(folder, PEM.key)];
    await assert.rejects(startMovedIssuer("--key-file", "none.pem", ...tls), {
      code: "CERTIFICATE_INVALID",
    });
  });
});

async function handshake(
  { port }: RunningIssuer,
  options: { ca: string; maxVersion?: "TLSv1.2" | "TLSv1.3" },
): Promise<{ serial: string | undefined; protocol: string | null }> {
  assert.ok(port);
  const servername = "oidc.example.com";
  const socket = connectTls({ host: "127.0.0.1", port, servername, ...options });
  await once(socket, "secureConnect");
  const peer = {
    serial: socket.getPeerX509Certificate()?.serialNumber,
    protocol: socket.getProtocol(),
  };
  socket.destroy();
  return peer;
}

function serialOf({ cert }: KeyPair): string {
  return new X509Certificate(cert).serialNumber;
}
