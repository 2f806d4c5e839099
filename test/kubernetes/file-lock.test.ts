import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withFileLock } from "./file-lock.ts";

describe("withFileLock", () => {
  let folder: string;
  let lock: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "irsa-lock-"));
    lock = join(folder, "lock");
  });
  after(() => rm(folder, { recursive: true }));

  it("lets one in at a time, and leaves no file", async () => {
    let inside = 0;
    const visit = (): Promise<number> =>
      withFileLock(lock, async () => {
        inside += 1;
        await sleep(10);
        const seen = inside;
        inside -= 1;
        return seen;
      });
    assert.deepEqual(await Promise.all([visit(), visit(), visit()]), [1, 1, 1]);
    assert.deepEqual(await readdir(folder), []);
  });

  it("is free again after an error", async () => {
    await assert.rejects(
      withFileLock(lock, () => Promise.reject(new Error("no"))),
      /^Error: no$/,
    );
    await assert.rejects(access(lock), { code: "ENOENT" });
  });

  it("takes over from a process that has ended", async () => {
    const gone = spawn(process.execPath, ["--version"], { stdio: "ignore" });
    await once(gone, "exit");
    await writeFile(lock, String(gone.pid));
    assert.equal(await withFileLock(lock, async () => "mine"), "mine");
  });
});
