import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { sessionTokenKey } from "./session-token-key.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-shim-key-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("the key of session tokens", () => {
  it("is made once, for its owner only, and found again", async () => {
    const { log, lines } = createCollectedLog();
    const stateDir = join(folder, "deep", "state");
    const key = await sessionTokenKey(stateDir, log);
    assert.equal(key.length, 32);
    assert.deepEqual(await sessionTokenKey(stateDir, log), key);
    assert.deepEqual(await readdir(stateDir), ["session-token-key"]);
    assert.equal((await stat(join(stateDir, "session-token-key"))).mode & 0o777, 0o600);
    assert.deepEqual(lines, []);
  });

  it("is the same for all that start at once", async () => {
    const { log } = createCollectedLog();
    const keys = await Promise.all(Array.from({ length: 20 }, () => sessionTokenKey(folder, log)));
    assert.equal(new Set(keys.map((key) => key.toString("hex"))).size, 1);
    assert.deepEqual(await readdir(folder), ["session-token-key"]);
  });

  it("replaces a file that holds none", async () => {
    const { log, lines } = createCollectedLog();
    await writeFile(join(folder, "session-token-key"), "short");
    const key = await sessionTokenKey(folder, log);
    assert.equal(key.length, 32);
    assert.deepEqual(await sessionTokenKey(folder, log), key);
    assert.equal(lines.length, 1);
  });

  it("is one of the process where it cannot be kept, and the log says so", async () => {
    const { log, lines } = createCollectedLog();
    await writeFile(join(folder, "file"), "");
    const key = await sessionTokenKey(join(folder, "file", "state"), log);
    assert.equal(key.length, 32);
    assert.match(String(lines[0]?.["msg"]), /a restart ends them/);
  });
});
