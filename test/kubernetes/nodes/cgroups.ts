import { access, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

const ROOT = "/sys/fs/cgroup";

/**
 * Makes a cgroup for kubelet's `cgroupRoot`, in version 1 in each hierarchy. It is empty, and the
 * workspace of the same name removes it: see workspace.ts.
 *
 * @param path `NAME/NODE`, NAME being that of the workspace's folder.
 */
export async function createCgroup(path: string): Promise<void> {
  if (await exists(join(ROOT, "cgroup.controllers"))) {
    await createUnified(path);
    return;
  }
  const entries = await readdir(ROOT, { withFileTypes: true });
  const hierarchies = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  for (const hierarchy of hierarchies) await createInHierarchy(join(ROOT, hierarchy), path);
}

/** Kernel: Documentation/admin-guide/cgroup-v1/cpusets.rst: no process may join without CPUs and memory. */
async function createInHierarchy(root: string, path: string): Promise<void> {
  const folder = await descend(root, path, async (parent, child) => {
    for (const file of ["cpuset.cpus", "cpuset.mems"]) {
      if (await exists(join(parent, file)))
        await writeFile(join(child, file), await readFile(join(parent, file)));
    }
  });
  await access(folder);
}

/** Kernel: Documentation/admin-guide/cgroup-v2.rst: a controller is handed down level by level. */
async function createUnified(path: string): Promise<void> {
  await descend(ROOT, path, async (parent) => {
    const controllers = (await readFile(join(parent, "cgroup.controllers"), "utf8"))
      .trim()
      .split(" ");
    const down = controllers.map((controller) => `+${controller}`).join(" ");
    await writeFile(join(parent, "cgroup.subtree_control"), down);
  });
}

async function descend(
  root: string,
  path: string,
  prepare: (parent: string, child: string) => Promise<void>,
): Promise<string> {
  let folder = root;
  for (const name of path.split("/")) {
    folder = join(folder, name);
    await mkdir(folder, { recursive: true });
    await prepare(dirname(folder), folder);
  }
  return folder;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
