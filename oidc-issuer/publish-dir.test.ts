import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { renderDocuments, type Documents } from "./documents.ts";
import { jwksOfPem } from "./jwk.ts";
import { publishToDirectory, readPublishedKeys } from "./publish-dir.ts";

const issuerUrl = "https://oidc.example.com/prod";
// Different algorithms, so that both documents differ where the keys do.
const [a, b] = ["P-256", "P-384"].flatMap((namedCurve) => {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve });
  return jwksOfPem(publicKey.export({ type: "spki", format: "pem" }).toString());
});
assert.ok(a && b);
const one = renderDocuments(issuerUrl, [a]);
const other = renderDocuments(issuerUrl, [b]);
const both = renderDocuments(issuerUrl, [a, b]);

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-issuer-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
}

const pathsOf = (dir: string) => ({
  discovery: join(dir, ".well-known/openid-configuration"),
  jwks: join(dir, "openid/v1/jwks"),
});

async function assertPublished(dir: string, documents: Documents): Promise<void> {
  const paths = pathsOf(dir);
  assert.deepEqual(await readFile(paths.discovery), documents.discovery.body);
  assert.deepEqual(await readFile(paths.jwks), documents.jwks.body);
}

describe("publishToDirectory", () => {
  it("writes both documents where a web server finds them, and nothing else", async (t) => {
    const dir = join(await temporaryFolder(t), "site/prod");
    assert.equal(await publishToDirectory(dir, both), "published");
    await assertPublished(dir, both);
    const files = await readdir(dir, { recursive: true, withFileTypes: true });
    assert.deepEqual(
      files
        .filter((file) => file.isFile())
        .map(({ name }) => name)
        .toSorted(),
      ["jwks", "openid-configuration"],
    );
    for (const path of Object.values(pathsOf(dir))) {
      assert.equal((await stat(path)).mode & 0o777, 0o644);
    }
  });

  it("lets everybody read, whatever the umask", async (t) => {
    const dir = join(await temporaryFolder(t), "site");
    const umask = process.umask(0o077);
    try {
      await publishToDirectory(dir, both);
    } finally {
      process.umask(umask);
    }
    for (const path of [
      dir,
      join(dir, ".well-known"),
      join(dir, "openid"),
      join(dir, "openid/v1"),
    ]) {
      assert.equal((await stat(path)).mode & 0o777, 0o755, path);
    }
  });

  it("says what is wrong where no folder can be made, and ends", async () => {
    // The kernel's own file system answers ENOENT to mkdir, for ever.
    await assert.rejects(publishToDirectory("/proc/irsa-test/site", both), {
      code: "PUBLISH_REFUSED",
      message: /ENOENT.*mkdir '\/proc\/irsa-test'/,
    });
  });

  it("touches nothing when nothing has changed, and only what has", async (t) => {
    const dir = await temporaryFolder(t);
    await publishToDirectory(dir, both);
    const { discovery, jwks } = pathsOf(dir);
    for (const path of [discovery, jwks]) await utimes(path, 1, 1);
    assert.equal(await publishToDirectory(dir, both), "unchanged");
    assert.equal((await stat(jwks)).mtimeMs, 1000);
    const reordered = renderDocuments(issuerUrl, [b, a]);
    assert.equal(await publishToDirectory(dir, reordered), "published");
    assert.equal((await stat(discovery)).mtimeMs, 1000);
    await assertPublished(dir, reordered);
  });

  it("puts a damaged or missing document right", async (t) => {
    const dir = await temporaryFolder(t);
    await publishToDirectory(dir, both);
    await writeFile(pathsOf(dir).jwks, "{");
    await rm(pathsOf(dir).discovery);
    assert.equal(await publishToDirectory(dir, both), "published");
    await assertPublished(dir, both);
  });

  for (const [name, before, next, order] of [
    ["the keys first, into an empty directory", undefined, both, ["jwks", "openid-configuration"]],
    ["new keys first", one, both, ["jwks", "openid-configuration"]],
    ["the keys first when some come and others go", one, other, ["jwks", "openid-configuration"]],
    ["the keys last when they only go", both, one, ["openid-configuration", "jwks"]],
  ] as const) {
    it(`writes ${name}, and stops where a write fails`, async (t) => {
      const dir = await temporaryFolder(t);
      if (before !== undefined) await publishToDirectory(dir, before);
      const written: string[] = [];
      await publishToDirectory(dir, next, (path) => {
        written.push(basename(path));
        return Promise.resolve();
      });
      assert.deepEqual(written, order);

      let failed = 0;
      const fail = () => {
        failed++;
        return Promise.reject(new Error("disk full"));
      };
      await assert.rejects(publishToDirectory(dir, next, fail), {
        code: "PUBLISH_REFUSED",
        message: `Cannot publish to ${JSON.stringify(dir)}: disk full`,
      });
      assert.equal(failed, 1);
      if (before !== undefined) await assertPublished(dir, before);
    });
  }

  it("shows readers a whole document at any time", async (t) => {
    const dir = await temporaryFolder(t);
    await publishToDirectory(dir, one);
    const wanted = new Set([one, both].map(({ jwks }) => jwks.body.toString()));
    const done = new AbortController();
    const reading = (async () => {
      let reads = 0;
      for (; !done.signal.aborted; reads++) {
        assert.ok(wanted.has(await readFile(pathsOf(dir).jwks, "utf8")));
      }
      return reads;
    })();
    for (let i = 0; i < 50; i++) await publishToDirectory(dir, i % 2 === 0 ? both : one);
    done.abort();
    assert.ok((await reading) > 0);
  });
});

describe("readPublishedKeys", () => {
  const { log, lines } = createCollectedLog();

  it("finds none in a directory that is empty or missing", async (t) => {
    const dir = await temporaryFolder(t);
    assert.deepEqual(await readPublishedKeys(dir, { issuerUrl, log }), []);
    assert.deepEqual(await readPublishedKeys(join(dir, "missing"), { issuerUrl, log }), []);
    assert.deepEqual(lines, []);
  });

  it("finds the keys that are published", async (t) => {
    const dir = await temporaryFolder(t);
    await publishToDirectory(dir, both);
    assert.deepEqual(await readPublishedKeys(dir, { issuerUrl, log }), [a, b]);
  });

  it("refuses the directory of another issuer", async (t) => {
    const dir = await temporaryFolder(t);
    await publishToDirectory(dir, both);
    const options = { issuerUrl: "https://oidc.example.com/other", log };
    await assert.rejects(readPublishedKeys(dir, options), {
      code: "PUBLISH_REFUSED",
      message: /holds the documents of "https:\/\/oidc.example.com\/prod", expected those of/,
    });
  });

  it("refuses a directory that is a file", async (t) => {
    const file = join(await temporaryFolder(t), "file");
    await writeFile(file, "");
    await assert.rejects(readPublishedKeys(file, { issuerUrl, log }), { code: "PUBLISH_REFUSED" });
  });

  it("says that a damaged JWKS will be replaced", async (t) => {
    const dir = await temporaryFolder(t);
    await publishToDirectory(dir, both);
    await writeFile(pathsOf(dir).jwks, both.jwks.body.subarray(0, 50));
    const collected = createCollectedLog();
    assert.deepEqual(await readPublishedKeys(dir, { issuerUrl, log: collected.log }), []);
    assert.equal(collected.lines.length, 1);
  });
});
