import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { jwksOfPem } from "./jwk.ts";
import { keyFileSource } from "./key-files.ts";

const { signal } = new AbortController();
const pem = () =>
  generateKeyPairSync("ec", { namedCurve: "P-256" })
    .publicKey.export({ type: "spki", format: "pem" })
    .toString();

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-issuer-"));
});
after(() => rm(folder, { recursive: true }));

describe("keyFileSource", () => {
  it("gives the keys of the file as it is now", async () => {
    const file = join(folder, "sa.pub");
    const source = keyFileSource(file);
    for (const text of [pem(), pem() + pem()]) {
      await writeFile(file, text);
      assert.deepEqual(await source.poll(signal), { keys: jwksOfPem(text), filtered: [] });
    }
  });

  it("says which file cannot be read", async () => {
    const file = join(folder, "missing.pub");
    const result = await keyFileSource(file).poll(signal);
    assert.ok("reason" in result);
    assert.equal(result.reason, "unreadable");
    assert.match(result.message, /missing\.pub/);
  });

  it("says which file holds no usable key", async () => {
    const file = join(folder, "empty.pub");
    await writeFile(file, "");
    const result = await keyFileSource(file).poll(signal);
    assert.ok("reason" in result);
    assert.equal(result.reason, "invalid");
    assert.match(result.message, /expected at least one PEM block .*empty\.pub/);
  });
});
