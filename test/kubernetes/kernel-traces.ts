import { glob, readdir, readFile, readlink } from "node:fs/promises";
import { processesWith } from "./remains.ts";

const KINDS = ["mnt", "net", "pid"];

/**
 * The namespaces, other than this process's own, of the processes that were told a folder's path: such
 * as `net:[4026532008]`. Linux only (man 7 namespaces).
 */
export async function namespacesOf(folder: string): Promise<ReadonlySet<string>> {
  const lines = await processesWith(folder);
  const pids = lines.map((line) => line.trim().split(" ")[0] ?? "");
  const [own, ...others] = await Promise.all(["self", ...pids].map(namespacesOfProcess));
  return new Set(others.flat().filter((id) => own?.includes(id) === false));
}

/** The ids of all processes that are in one of these namespaces. */
export async function processesIn(namespaces: ReadonlySet<string>): Promise<readonly string[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const ids = await Promise.all(pids.map(namespacesOfProcess));
  return pids.filter((_, i) => ids[i]?.some((id) => namespaces.has(id)));
}

/** The cgroups that go with the workspaces in a folder. */
export async function cgroupsOf(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder);
  const found = names.map((name) => Array.fromAsync(glob(`/sys/fs/cgroup/{,*/}${name}`)));
  return (await Promise.all(found)).flat();
}

/** The lines of this process's mount table that hold a text (man 5 proc_pid_mountinfo). */
export async function mountsWith(text: string): Promise<readonly string[]> {
  const table = await readFile("/proc/self/mountinfo", "utf8");
  return table.split("\n").filter((line) => line.includes(text));
}

async function namespacesOfProcess(pid: string): Promise<readonly string[]> {
  const links = KINDS.map((kind) => readlink(`/proc/${pid}/ns/${kind}`));
  // A process that has just ended is in none.
  return Promise.all(links).catch(() => []);
}
