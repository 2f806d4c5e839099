import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { get } from "node:https";
import { describe, it } from "node:test";
import type { TLSSocket } from "node:tls";
import {
  createAuthority,
  issueClientCertificate,
  issueServingCertificate,
} from "./certificates.ts";
import { listen } from "./http.ts";
import { parseKeyPair } from "./server-certificate.ts";

const now = Date.now();
const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 };
const authority = await createAuthority("test authority", validity);
const pair = await issueServingCertificate(authority, ["localhost", "127.0.0.1"], validity);

describe("issueServingCertificate", () => {
  it("sets subject and issuer, serves only its names, and presents its authority", () => {
    const leaf = new X509Certificate(pair.cert);
    const ca = new X509Certificate(authority.cert);
    assert.equal(leaf.subject, "CN=localhost");
    assert.equal(leaf.issuer, "CN=test authority");
    assert.equal(leaf.subjectAltName, "DNS:localhost, IP Address:127.0.0.1");
    assert.deepEqual([leaf.ca, ca.ca, leaf.checkIssued(ca)], [false, true, true]);
    assert.ok(pair.cert.endsWith(authority.cert));
    assert.notEqual(leaf.serialNumber, ca.serialNumber);
  });

  it("is accepted by a TLS client that trusts the authority, and swapped while serving", async () => {
    await using server = await listen((_req, res) => res.end("ok"), {
      port: 0,
      host: "127.0.0.1",
      drainMs: 100,
      keyPair: pair,
    });
    assert.equal(await servedSerial(server.port), new X509Certificate(pair.cert).serialNumber);

    const next = await issueServingCertificate(authority, ["localhost"], validity);
    server.setCertificate(next);
    assert.equal(await servedSerial(server.port), new X509Certificate(next.cert).serialNumber);
  });
});

describe("issueClientCertificate", () => {
  it("names the user and its groups, and is for clients only", async () => {
    const user = { commonName: "admin", organizations: ["system:masters", "auditors"] };
    const client = await issueClientCertificate(authority, user, validity);
    const leaf = new X509Certificate(client.cert);
    assert.equal(leaf.subject, "O=system:masters\nO=auditors\nCN=admin");
    assert.deepEqual(leaf.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
    assert.ok(leaf.checkIssued(new X509Certificate(authority.cert)));
    assert.deepEqual(parseKeyPair(client.cert, client.key), client);
  });
});

describe("parseKeyPair", () => {
  it("refuses a key that belongs to another certificate", () => {
    assert.throws(() => parseKeyPair(pair.cert, authority.key), { code: "CERTIFICATE_INVALID" });
  });

  it("refuses what is no PEM", () => {
    assert.throws(() => parseKeyPair("nothing", pair.key), { code: "CERTIFICATE_INVALID" });
  });
});

function servedSerial(port: number): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  get(`https://localhost:${port}/`, { ca: authority.cert, agent: false, family: 4 }, (response) => {
    const { socket } = response;
    resolve("getPeerX509Certificate" in socket ? serialOf(socket) : undefined);
    response.resume();
  }).on("error", reject);
  return promise;
}

function serialOf(socket: object): string | undefined {
  return (socket as TLSSocket).getPeerX509Certificate()?.serialNumber;
}
