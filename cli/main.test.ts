import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { TICK_STATES } from "../test/fakes/tick-states.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** Ends the program once it listens, and tells on stderr how its ticks are then. */
const PROBE = `
  const write = process.stdout.write.bind(process.stdout);
  process.stdout.write = (chunk, ...rest) => {
    if (String(chunk).includes('"Listening"')) setTimeout(tell, 300);
    return write(chunk, ...rest);
  };
  async function tell() {
    console.error(JSON.stringify([...new Set(await (${TICK_STATES})())]));
    process.exit();
  }
`;

/** Nobody listens at the server, which the shim does not need to listen itself. */
const KUBECONFIG = JSON.stringify({
  clusters: [
    { name: "c", cluster: { server: "https://127.0.0.1:1", "insecure-skip-tls-verify": true } },
  ],
  users: [{ name: "u", user: { token: "none" } }],
  contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
  "current-context": "x",
});

describe("irsa", () => {
  it("keeps its ticks quick", async () => {
    const folder = await mkdtemp(join(tmpdir(), "irsa-main-"));
    try {
      const kubeconfig = join(folder, "kubeconfig");
      await writeFile(kubeconfig, KUBECONFIG);
      const probe = `data:text/javascript,${encodeURIComponent(PROBE)}`;
      const node = ["--allow-natives-syntax", "--expose-gc", "--import", probe];
      const flags = [`--kubeconfig=${kubeconfig}`, `--state-dir=${folder}`, "--node=node-0"];
      flags.push("--region=eu-west-1", "--bind-address=127.0.0.1", "--host-ip=10.0.0.1");
      flags.push("--app-port=0", "--admin-port=0");
      const env = { AWS_EC2_METADATA_DISABLED: "true" };
      const run = promisify(execFile);
      const args = [...node, MAIN, "shim", ...flags];
      const { stderr } = await run(process.execPath, args, { env, timeout: 60_000 });
      assert.equal(stderr.trim(), '["MONOMORPHIC"]');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
