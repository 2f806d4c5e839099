import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createMovedClock, type MovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import { createAuthority, issueServingCertificate } from "./certificates.ts";
import { parseKeyPair, watchKeyPair, type KeyPair } from "./server-certificate.ts";

const now = Date.now();
const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 };
const authority = await createAuthority("test authority", validity);
const [first, second, third] = await Promise.all(
  ["first", "second", "third"].map((name) => issueServingCertificate(authority, [name], validity)),
);
assert.ok(first !== undefined && second !== undefined && third !== undefined);

const POLL_MS = 1000;

interface Setting {
  readonly clock: MovedClock;
  readonly pairs: readonly KeyPair[];
  readonly problems: readonly string[];
  readonly stop: AbortController;
  readonly certFile: string;
  readonly keyFile: string;
  readonly write: (cert: string, key: string) => Promise<void>;
  readonly start: () => Promise<KeyPair>;
  /** Moves the clock to the next poll, and waits for the end of it. */
  readonly poll: () => Promise<void>;
}

async function setUp(t: TestContext): Promise<Setting> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-certificate-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const [certFile, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const clock = createMovedClock();
  const stop = new AbortController();
  const pairs: KeyPair[] = [];
  const problems: string[] = [];
  return {
    clock,
    pairs,
    problems,
    stop,
    certFile,
    keyFile,
    async write(cert, key) {
      await writeFile(certFile, cert);
      await writeFile(keyFile, key);
    },
    start: () =>
      watchKeyPair(
        { certFile, keyFile },
        {
          clock,
          pollMs: POLL_MS,
          signal: stop.signal,
          onChange: (pair) => pairs.push(pair),
          onError: (err) => problems.push(String(err)),
        },
      ),
    async poll() {
      await until("it sleeps", () => clock.sleepers().length === 1);
      clock.advance(POLL_MS);
      await until("it sleeps again", () => clock.sleepers().length === 1);
    },
  };
}

describe("watchKeyPair", () => {
  it("keeps the last good pair through bad ones, and takes the next good one", async (t) => {
    const { write, start, poll, pairs, problems } = await setUp(t);
    await write(first.cert, first.key);
    assert.deepEqual(await start(), first);

    for (const [cert, key] of [
      [second.cert, first.key],
      ["no certificate", second.key],
      [second.cert, ""],
    ] as const) {
      await write(cert, key);
      await poll();
      await poll();
    }
    assert.equal(problems.length, 3);
    assert.match(problems[0] ?? "", /its public key is not the one of the private key/);
    assert.match(problems[1] ?? "", /Cannot read the certificate or its key/);
    assert.match(problems[2] ?? "", /Cannot read the certificate or its key/);

    await write(third.cert, third.key);
    await poll();
    assert.deepEqual([pairs, problems.length], [[third], 3]);
  });

  it("quotes nothing of a key that it cannot read", async (t) => {
    const { write, start, poll, problems } = await setUp(t);
    await write(first.cert, first.key);
    await start();
    const broken = first.key.replace("BEGIN RSA", "BEGIN s3cret RSA");
    await write(first.cert, broken);
    await poll();
    assert.equal(problems.length, 1);
    assert.ok(!problems.join("").includes("s3cret"));
    assert.ok(!problems.join("").includes(first.key.slice(100, 140)));
  });

  for (const [name, cert, key, message] of [
    ["a pair that does not match", first.cert, second.key, /its public key is not the one/],
    ["no certificate", "nothing", first.key, /Cannot read the certificate or its key/],
    ["no file", undefined, first.key, /Cannot read the serving certificate: ENOENT/],
  ] as const) {
    it(`refuses to start with ${name}, and watches nothing then`, async (t) => {
      const { start, clock, pairs, problems, certFile, keyFile } = await setUp(t);
      if (cert !== undefined) await writeFile(certFile, cert);
      await writeFile(keyFile, key);
      await assert.rejects(start(), { code: "CERTIFICATE_INVALID", message });
      await until("nobody sleeps", () => clock.sleepers().length === 0);
      assert.deepEqual([pairs, problems], [[], []]);
    });
  }

  it("stops when its signal aborts", async (t) => {
    const { write, start, clock, stop, pairs } = await setUp(t);
    await write(first.cert, first.key);
    await start();
    await write(second.cert, second.key);
    stop.abort();
    await until("nobody sleeps", () => clock.sleepers().length === 0);
    assert.deepEqual(pairs, []);
  });
});

describe("parseKeyPair", () => {
  it("takes a certificate followed by its chain", () => {
    assert.deepEqual(parseKeyPair(first.cert, first.key), first);
    assert.ok(first.cert.endsWith(authority.cert));
  });
});
