// What of a workspace cannot be removed at its end is not forgotten.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdir, mkdtempDisposable, readdir, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";
import { runCommand } from "./run-command.ts";
import { createWorkspace } from "./workspace.ts";

const skip = (await missingNodeParts(process.env)) ?? false;
const WORKSPACE = new URL("workspace.ts", import.meta.url).href;

describe("what cannot be removed", { skip }, () => {
  it("is left to the next start, which knows it by its owner", async () => {
    await using parent = await mkdtempDisposable(join(tmpdir(), "irsa-workspaces-"));
    const mounted = join(parent.path, "irsa-kube-old", "a-mount");
    await mkdir(mounted, { recursive: true });
    const gone = spawnSync(process.execPath, ["--version"]).pid;
    await writeFile(join(dirname(mounted), "owner"), `${hostname()} ${gone}`);
    await inMountsOfItsOwn(
      parent.path,
      `execFileSync("mount", ["-t", "tmpfs", "tmpfs", ${JSON.stringify(mounted)}]);
      await (await createWorkspace())[Symbol.asyncDispose]();`,
    );
    assert.deepEqual(await readdir(parent.path), ["irsa-kube-old"]);
    await (await createWorkspace(parent.path))[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(parent.path), []);
  });

  it("is left so too by the run that made it, which says so", async () => {
    await using parent = await mkdtempDisposable(join(tmpdir(), "irsa-workspaces-"));
    const told = await inMountsOfItsOwn(
      parent.path,
      `const workspace = await createWorkspace();
      execFileSync("mount", ["-t", "tmpfs", "-o", "X-mount.mkdir", "tmpfs", workspace.path + "/a-mount"]);
      const end = await workspace[Symbol.asyncDispose]().then(() => "removed", (err) => err.message);
      console.log(end);`,
    );
    assert.match(told, /^Cannot remove .*: the next start will try it again\n$/);
    const [name = ""] = await readdir(parent.path);
    assert.deepEqual((await readdir(join(parent.path, name))).toSorted(), ["a-mount", "owner"]);
    await (await createWorkspace(parent.path))[Symbol.asyncDispose]();
    assert.deepEqual(await readdir(parent.path), []);
  });
});

/** Runs a script, so that nothing stays mounted, and resolves with its stdout. */
async function inMountsOfItsOwn(folder: string, script: string): Promise<string> {
  const imports = `import { execFileSync } from "node:child_process";
    import { createWorkspace } from ${JSON.stringify(WORKSPACE)};`;
  const unshared = ["unshare", "--mount", "--propagation=private"];
  const node = [process.execPath, "--input-type=module", "--eval", `${imports}\n${script}`];
  return runCommand([...unshared, ...node], { env: { ...process.env, TMPDIR: folder } });
}
