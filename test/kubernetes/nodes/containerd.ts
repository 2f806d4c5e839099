import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ProgramRunner } from "../program-runner.ts";
import type { SupervisedProcess } from "../supervised-process.ts";
import { untilReady } from "../until-ready.ts";
import { cniConfig, type Cni } from "./cni.ts";
import type { Machine } from "./machine.ts";

export const CONTAINERD_SOCKET = "/run/containerd/containerd.sock";
/** What the sandbox of each pod runs; has to be imported before the first. */
export const PAUSE_IMAGE = "localhost/pause:test";

/** Where Debian's containernetworking-plugins are. */
export const CNI_PLUGIN_FOLDER = "/usr/lib/cni";

/** Starts a machine's containerd, at its standard paths, and resolves when it answers. */
export async function startContainerd(
  programs: ProgramRunner,
  machine: Machine,
  { cni, podSubnets }: { readonly cni: Cni; readonly podSubnets: readonly string[] },
): Promise<SupervisedProcess> {
  const name = `containerd-${machine.name}`;
  const cniFolder = join(programs.folder, `cni-${machine.name}`);
  const configFile = join(programs.folder, `${name}.toml`);
  await mkdir(cniFolder);
  await writeFile(join(cniFolder, "10-pods.conflist"), JSON.stringify(cniConfig(cni, podSubnets)));
  await writeFile(configFile, containerdConfig(cniFolder));
  const commandLine = machine.inside(["containerd", `--config=${configFile}`]);
  const supervised = await programs.start(name, commandLine);
  await untilReady(supervised, async () => {
    await machine.run("ctr", `--address=${CONTAINERD_SOCKET}`, "version");
    return true;
  });
  return supervised;
}

/**
 * Version 2 of the configuration, which containerd 1.6 and 2 read
 * (github.com/containerd/containerd/blob/release/1.6/docs/cri/config.md).
 */
function containerdConfig(cniFolder: string): string {
  return `
version = 2
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE runc fails with "can't get final child's PID from pipe: EOF".
  restrict_oom_score_adj = true
  # It would be loaded into the kernel, and stay there.
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${CNI_PLUGIN_FOLDER}"
    conf_dir = "${cniFolder}"
`;
}
