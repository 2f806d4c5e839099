import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { missingTools } from "../network/missing-tools.ts";

// What runs in a network namespace without a way out must have built its cluster's programs before it
// went there: a `go` that builds nothing notes in which network it was asked to.

const PROGRAMS = [
  { name: "the benchmark of the shim", args: ["../bench/main.ts", "shim"] },
  { name: "the test of churn", args: ["shim-churn.test.ts"] },
] as const;
const OWN_NETWORK = "/proc/self/ns/net";

const skip = missingTools(process.env) ?? false;

describe("on a machine that has built nothing yet", { skip, timeout: 120_000 }, () => {
  let folder = "";

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "irsa-cold-"));
    const script = [
      "#!/bin/sh",
      'if [ "$1" = env ]; then echo go1.99.0; exit; fi',
      `readlink ${OWN_NETWORK} > "$IRSA_NETWORK_FILE"`,
      "exit 1",
    ];
    await writeFile(join(folder, "go"), script.join("\n"), { mode: 0o755 });
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const [number, { name, args }] of PROGRAMS.entries()) {
    it(`${name} builds where registries are reached`, async ({ signal }) => {
      const [file, ...rest] = args;
      const networkFile = join(folder, `network-${number}`);
      const env = {
        ...process.env,
        PATH: [folder, process.env["PATH"]].join(delimiter),
        XDG_CACHE_HOME: join(folder, "cache"),
        KUBEBUILDER_ASSETS: undefined,
        NODE_TEST_CONTEXT: undefined,
        IRSA_NETWORK_FILE: networkFile,
      };
      const path = fileURLToPath(new URL(file, import.meta.url));
      const child = spawn(process.execPath, [path, ...rest], {
        env,
        stdio: ["ignore", "pipe", "pipe"],
        signal,
      });
      const output = Promise.all([text(child.stdout), text(child.stderr)]);
      const [code] = (await once(child, "close")) as [number | null];
      const said = (await output).join("");
      assert.equal(code, 1, said);
      const network = await readFile(networkFile, "utf8").catch(() => "none");
      assert.equal(network.trim(), await readlink(OWN_NETWORK), said);
    });
  }
});
