import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readProcFile } from "./proc-file.ts";

describe("a file of a process", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "irsa-proc-file-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const bytes of [0, 1, 4095, 4096, 4097, 100_000]) {
    it(`is read whole when it has ${bytes} bytes`, async () => {
      const file = join(folder, String(bytes));
      const text = Array.from({ length: bytes }, (_, i) => String(i % 10)).join("");
      await writeFile(file, text);
      assert.equal(String(await readProcFile(file)), text);
    });
  }

  it("is read as the kernel gives it, without a size", async () => {
    const file = "/proc/filesystems";
    const expected = await readFile(file, "utf8");
    assert.match(expected, /\tproc\n/);
    assert.equal(String(await readProcFile(file)), expected);
  });

  it("is none when its network namespace is just going", async (t) => {
    // What the kernel then says of a table of sockets, it also says of a socket itself.
    const file = join(folder, "socket");
    const server = createServer().listen(file);
    t.after(() => server.close());
    await once(server, "listening");
    await assert.rejects(readFile(file), { code: "ENXIO" });
    assert.equal(await readProcFile(file), undefined);
  });

  it("is none when the process is gone", async () => {
    const file = join(folder, "4242", "cgroup");
    assert.equal(await readProcFile(file), undefined);
  });

  it("is an error when it cannot be read", async () => {
    await assert.rejects(readProcFile(folder), { code: "EISDIR" });
  });
});
