import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";

/**
 * Shows a process of a pod in a folder that stands for `/proc` of a node.
 *
 * @param pid Its number there.
 * @param process.net The `net` folder of the process that has the pod's network namespace.
 * @returns its folder, to take it away.
 */
export async function showProcess(
  procFolder: string,
  pid: number,
  { podUid, net }: { readonly podUid: string; readonly net: string },
): Promise<string> {
  const folder = join(procFolder, String(pid));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "stat"), `${pid} (pause) S ${"0 ".repeat(18)}${pid} 0\n`);
  await symlink(net, join(folder, "net"));
  // Last, since it is what makes it a process of the pod.
  await writeFile(join(folder, "cgroup"), `0::/kubepods/pod${podUid}/pause\n`);
  return folder;
}
