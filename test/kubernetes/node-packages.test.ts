import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";

const skip = (await missingNodeParts(process.env)) ?? false;
const SCRIPT = fileURLToPath(new URL("../../scripts/install-node-packages.sh", import.meta.url));

describe("install-node-packages.sh", { skip }, () => {
  it("does nothing, silently, where all packages are", () => {
    const { status, stdout, stderr } = spawnSync(SCRIPT, { encoding: "utf8" });
    assert.deepEqual([status, stdout, stderr], [0, "", ""]);
  });

  it("asks for what is missing", async () => {
    const folder = await mkdtemp(join(tmpdir(), "irsa-packages-"));
    try {
      const put = (name: string, script: string): Promise<void> =>
        writeFile(join(folder, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
      await put("dpkg-query", "exit 0");
      // Nothing is installed in a test: it ends at the update of the package lists.
      await put("apt-get", 'echo "$@"; exit 100');
      const programs = ["buildah", "conntrack", "ctr", "iptables"];
      await Promise.all(programs.map((name) => put(name, "exit 1")));
      const { status, stdout, stderr } = spawnSync("/bin/sh", [SCRIPT], {
        encoding: "utf8",
        env: { PATH: folder },
      });
      assert.equal(stderr, "Installing the Debian packages containerd iproute2 runc\n");
      assert.deepEqual([status, stdout], [100, "update -qq\n"]);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
