import assert from "node:assert/strict";
import { once } from "node:events";
import { before, describe, it } from "node:test";
import { connect, getCiphers } from "node:tls";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { listen } from "../../lib/http.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";
import { ciphersOf, droppedSuites, isSuite } from "./cipher-suites.ts";

const GCM = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
const TLS13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

let keyPair: KeyPair;
before(async () => {
  const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const authority = await createAuthority("Test CA", validity);
  keyPair = await issueServingCertificate(authority, ["127.0.0.1"], validity);
});

/** The suite that a client of TLS 1.2 or 1.3 agrees on with a server, or the code of its error. */
async function agreed(list: string, version: "TLSv1.2" | "TLSv1.3"): Promise<string> {
  const options = { port: 0, host: "127.0.0.1", drainMs: 0, keyPair, ciphers: ciphersOf(list) };
  await using server = await listen((_req, res) => void res.end(), options);
  server.setCertificate(keyPair);
  const { port } = server;
  const versions = { minVersion: version, maxVersion: version };
  const socket = connect({ host: "127.0.0.1", port, ...versions, rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    return socket.getCipher().name;
  } catch (err) {
    return String(Object(err).code);
  } finally {
    socket.destroy();
  }
}

describe("cipher suites", () => {
  for (const [list, wanted] of [
    ["", undefined],
    [" , ", undefined],
    [GCM, `${TLS13}:ECDHE-RSA-AES128-GCM-SHA256`],
    [` ${GCM} ,, TLS_RSA_WITH_AES_256_CBC_SHA`, `${TLS13}:ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA`],
    ["TLS_AES_128_GCM_SHA256", TLS13],
    ["TLS_RSA_WITH_RC4_128_SHA", TLS13],
  ] as const) {
    it(`names each suite as OpenSSL does: ${JSON.stringify(list)}`, () =>
      assert.equal(ciphersOf(list), wanted));
  }

  it("knows Go's names, and no others", () => {
    assert.ok(isSuite(GCM));
    assert.ok(isSuite("TLS_AES_128_GCM_SHA256"));
    assert.ok(!isSuite("ECDHE-RSA-AES128-GCM-SHA256"));
    assert.ok(!isSuite("toString"));
  });

  it("tells which cannot be served", () => {
    assert.deepEqual(droppedSuites(`TLS_RSA_WITH_RC4_128_SHA,${GCM}`), [
      "TLS_RSA_WITH_RC4_128_SHA",
    ]);
  });

  it("names only suites that there are", () => {
    const all = ["ECDHE_ECDSA", "ECDHE_RSA"].flatMap((exchange) =>
      ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"].map(
        (rest) => `TLS_${exchange}_WITH_${rest}`,
      ),
    );
    const known = getCiphers();
    for (const name of ciphersOf(all.join(","))?.split(":") ?? []) {
      assert.ok(known.includes(name.toLowerCase()), name);
    }
  });

  it("serves those alone up to TLS 1.2, and TLS 1.3 in any case, also with a new certificate", async () => {
    assert.equal(await agreed(GCM, "TLSv1.2"), "ECDHE-RSA-AES128-GCM-SHA256");
    assert.match(await agreed(GCM, "TLSv1.3"), /^TLS_AES_|^TLS_CHACHA20_/);
    assert.match(await agreed("TLS_AES_128_GCM_SHA256", "TLSv1.2"), /^ERR_SSL_/);
  });
});
