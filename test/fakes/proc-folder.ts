import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder that looks like `/proc` of a node, with the processes that are shown in it alone. */
export interface ProcFolder extends AsyncDisposable {
  readonly path: string;
  /** Shows a process with its own network, in a cgroup of the test's choice. */
  show(pid: number, cgroup: string, startedAt?: number): Promise<void>;
  hide(pid: number): Promise<void>;
}

export async function createProcFolder(): Promise<ProcFolder> {
  const path = await mkdtemp(join(tmpdir(), "irsa-proc-"));
  await writeFile(join(path, "meminfo"), "");
  return {
    path,
    async show(pid, cgroup, startedAt = 100) {
      const folder = join(path, String(pid));
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "cgroup"), `0::${cgroup}\n`);
      const fields = ["S", ...Array.from({ length: 18 }, () => "0"), String(startedAt), "0"];
      await writeFile(join(folder, "stat"), `${pid} (a (strange) name) ${fields.join(" ")}\n`);
      await symlink(`/proc/${pid}/net`, join(folder, "net"));
    },
    hide: (pid) => rm(join(path, String(pid)), { recursive: true, force: true }),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
