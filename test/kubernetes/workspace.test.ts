import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createWorkspace } from "./workspace.ts";

describe("createWorkspace", () => {
  let parent: string;
  before(async () => {
    parent = await mkdtemp(join(tmpdir(), "irsa-workspaces-"));
  });
  after(() => rm(parent, { recursive: true }));

  it("makes a folder, and removes it with all that is in it", async () => {
    let path: string;
    {
      await using workspace = await createWorkspace(parent);
      path = workspace.path;
      await mkdir(join(path, "data"));
      await writeFile(join(path, "data", "file"), "");
    }
    await assert.rejects(access(path), { code: "ENOENT" });
  });

  const gone = spawn(process.execPath, ["--version"], { stdio: "ignore" });
  for (const [whose, owner, stays] of [
    ["an ended process", () => `${hostname()} ${gone.pid}`, false],
    ["a live process", () => `${hostname()} ${process.pid}`, true],
    ["a process of another host", () => `elsewhere ${gone.pid}`, true],
    ["nobody", undefined, true],
  ] as const) {
    it(`${stays ? "leaves" : "removes"} an older folder of ${whose}`, async () => {
      if (gone.exitCode === null) await once(gone, "exit");
      const old = await mkdtemp(join(parent, "irsa-kube-"));
      if (owner !== undefined) await writeFile(join(old, "owner"), owner());
      await using _ = await createWorkspace(parent);
      assert.equal(
        (await readdir(parent)).some((name) => old.endsWith(name)),
        stays,
      );
    });
  }
});
