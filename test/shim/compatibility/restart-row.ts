import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { PROFILES, type Profile } from "../../../metadata-shim/role/profile.ts";
import { removeRules } from "../../../metadata-shim/rules/remove-rules.ts";
import { until } from "../../fakes/until.ts";
import {
  NODE_IPS,
  SHIM_PORT,
  startMetadataLab,
  type MetadataLab,
} from "../../network/metadata-lab.ts";
import { METADATA_IPV4 } from "../shim-world.ts";
import type { CompatibilityResult, CompatibilityRow } from "./compatibility-row.ts";

/** What pods reach around a restart; it needs pods behind a node of their own. */
export const RESTART_ROW: Pick<CompatibilityRow, "id" | "title" | "expected"> = {
  id: "C42",
  title: "before the shim, with it, between its end and its next start, after",
  expected: "the real service, the shim, ECONNREFUSED, the shim",
};

const IRSA = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));

/** Looks at it in each profile, with shims that make their rules themselves. */
export async function seeRestarts(): Promise<readonly CompatibilityResult[]> {
  await using lab = await startMetadataLab("nft");
  const results: CompatibilityResult[] = [];
  for (const profile of PROFILES) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- they share a node
    const seen = await seeRestart(lab, profile).catch(String);
    results.push({ id: RESTART_ROW.id, profile, seen });
    // oxlint-disable-next-line eslint/no-await-in-loop -- they share a node
    await removeRules({ hostIps: NODE_IPS, port: SHIM_PORT }, lab.node.attempt);
  }
  return results;
}

async function seeRestart({ node, podA }: MetadataLab, profile: Profile): Promise<string> {
  await using resources = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "shim-restart-"));
  resources.defer(() => rm(folder, { recursive: true, force: true }));
  const reached = async (): Promise<string> => {
    const { name, status, error } = await podA.get(`http://${METADATA_IPV4}/`);
    if (name !== undefined) return "the real service";
    return status === undefined ? String(error) : "the shim";
  };
  const start = async (): Promise<ChildProcess> => {
    const shim = node.spawn(process.execPath, [
      IRSA,
      "shim",
      `--profile=${profile}`,
      "--iptables",
      `--host-ip=${NODE_IPS.ipv4},${NODE_IPS.ipv6}`,
      `--app-port=${SHIM_PORT}`,
      `--state-dir=${folder}`,
      // There is none. It has to keep pods from the node's role all the same.
      "--api-server=http://127.0.0.1:1",
    ]);
    resources.defer(() => void shim.kill("SIGKILL"));
    await until("pods reach it", async () => (await reached()) === "the shim");
    return shim;
  };
  const seen = [await reached()];
  const first = await start();
  seen.push(await reached());
  await end(first);
  seen.push(await reached());
  const second = await start();
  seen.push(await reached());
  await end(second);
  return seen.join(", ");
}

async function end(shim: ChildProcess): Promise<void> {
  const exited = once(shim, "exit");
  shim.kill("SIGTERM");
  await exited;
}
