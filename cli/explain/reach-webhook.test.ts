import assert from "node:assert/strict";
import { createServer, type Server } from "node:net";
import { after, before, describe, it } from "node:test";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { listen } from "../../lib/http.ts";
import { reachWebhook } from "./reach-webhook.ts";

const HOUR_MS = 3_600_000;

describe("reachWebhook", () => {
  const cleanUp = new AsyncDisposableStack();
  const ports = new Map<string, number>();
  let caPem = "";
  let otherCaPem = "";

  before(async () => {
    const nowMs = Date.now();
    const valid = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + HOUR_MS };
    const past = { notBeforeMs: nowMs - 2 * HOUR_MS, notAfterMs: nowMs - HOUR_MS };
    const authority = await createAuthority("Test CA", {
      ...valid,
      notBeforeMs: past.notBeforeMs,
    });
    caPem = authority.cert;
    otherCaPem = (await createAuthority("Other CA", valid)).cert;
    const pairs = {
      address: await issueServingCertificate(authority, ["127.0.0.1"], valid),
      service: await issueServingCertificate(authority, ["webhook.eks.svc"], valid),
      expired: await issueServingCertificate(authority, ["127.0.0.1"], past),
    };
    for (const [name, keyPair] of Object.entries(pairs)) {
      const options = { port: 0, host: "127.0.0.1", drainMs: 0, keyPair };
      const { port } = cleanUp.use(await listen((_req, res) => res.end(), options));
      ports.set(name, port);
    }
    ports.set("plain", await listenAndHangUp(cleanUp));
  });
  after(() => cleanUp.disposeAsync());

  const cases: Readonly<
    Record<
      string,
      { server: string; serverName?: string; ca?: () => string; status: string; says?: RegExp }
    >
  > = {
    "a certificate of the authority": { server: "address", status: "trusted" },
    "one for the name of the Service": {
      server: "service",
      serverName: "webhook.eks.svc",
      status: "trusted",
    },
    "one for another name": {
      server: "service",
      serverName: "other.eks.svc",
      status: "untrusted",
      says: /is for DNS:webhook\.eks\.svc, not for other\.eks\.svc$/,
    },
    "one of another authority": {
      server: "address",
      ca: () => otherCaPem,
      status: "untrusted",
      says: /not signed by the authority in caBundle/,
    },
    "one that is over": { server: "expired", status: "untrusted", says: /certificate expired on/ },
    "an authority that is no certificate": {
      server: "address",
      ca: () => "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n",
      status: "untrusted",
    },
    "a server that hangs up": { server: "plain", status: "unreachable" },
  };
  for (const [name, { server, serverName, ca, status, says }] of Object.entries(cases)) {
    it(`${name}: ${status}`, async () => {
      const port = ports.get(server) ?? 0;
      const address = { host: "127.0.0.1", port, serverName, caPem: (ca ?? (() => caPem))() };
      const outcome = await reachWebhook(address);
      assert.equal(outcome.status, status);
      assert.equal(outcome.address, `127.0.0.1:${port}`);
      if (says !== undefined) assert.match("problem" in outcome ? outcome.problem : "", says);
    });
  }
});

async function listenAndHangUp(cleanUp: AsyncDisposableStack): Promise<number> {
  const server: Server = createServer((socket) => socket.destroy());
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  cleanUp.defer(() => void server.close());
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return address.port;
}
