import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { reasonOf } from "../../../lib/errors.ts";
import { missingComponents } from "../components.ts";
import { goProblem } from "../go-build.ts";
import { runCommand } from "../run-command.ts";
import { BUSYBOX } from "./busybox-images.ts";
import { coreDnsProgram } from "./cluster-dns.ts";
import { CNI_PLUGIN_FOLDER } from "./containerd.ts";

/** Of Debian's packages, see scripts/install-node-packages.sh. */
const PROGRAMS = [
  "conntrack",
  "containerd",
  "ctr",
  "ip",
  "iptables",
  "nsenter",
  "runc",
  "tar",
  "unshare",
  BUSYBOX,
  `${CNI_PLUGIN_FOLDER}/bridge`,
];

/**
 * Why no cluster with nodes can run on this machine, in one line; undefined when it can. Builds and
 * installs nothing. For the `skip` of a test.
 */
export async function missingNodeParts(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "Clusters with nodes need root on Linux";
  }
  const missing = await lackingPrograms(env["PATH"] ?? "");
  if (missing.length > 0) {
    return `Clusters with nodes need the programs ${missing.join(", ")} (scripts/install-node-packages.sh)`;
  }
  const problem =
    (await missingComponents(env, ["kubelet", "kube-proxy", "kube-controller-manager"])) ??
    (await goProblem(coreDnsProgram(env), env));
  if (problem !== undefined) return problem;
  return runCommand(["unshare", "--net", "--mount", "--pid", "--fork", "true"], { env }).then(
    () => undefined,
    (err) => `Clusters with nodes need namespaces: ${reasonOf(err).replaceAll("\n", " ")}`,
  );
}

async function lackingPrograms(path: string): Promise<readonly string[]> {
  const folders = path.split(delimiter);
  const isThere = async (program: string): Promise<boolean> => {
    const candidates = program.startsWith("/") ? [program] : folders.map((it) => join(it, program));
    const found = candidates.map((candidate) => access(candidate, constants.X_OK));
    return Promise.any(found).then(
      () => true,
      () => false,
    );
  };
  const present = await Promise.all(PROGRAMS.map(isThere));
  return PROGRAMS.filter((_, i) => present[i] !== true);
}
