import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder as kubelet keeps it for the projected volumes of pods. */
export interface KubeletFolder extends AsyncDisposable {
  readonly root: string;
  /** Folder of a volume, whether it is there or not. */
  volume(podUid: string, volumeName: string): string;
  /** Writes a file of a volume as kubelet does: into a new folder that a link is then swapped to. */
  write(podUid: string, volumeName: string, fileName: string, content: string): Promise<void>;
  /** What kubelet does when a pod is gone. */
  removePod(podUid: string): Promise<void>;
}

export async function createKubeletFolder(): Promise<KubeletFolder> {
  const root = await mkdtemp(join(tmpdir(), "kubelet-"));
  const volume = (podUid: string, volumeName: string): string =>
    join(root, "pods", podUid, "volumes/kubernetes.io~projected", volumeName);
  let writes = 0;
  return {
    root,
    volume,
    async write(podUid, volumeName, fileName, content) {
      const folder = volume(podUid, volumeName);
      const time = `..time-${(writes += 1)}`;
      await mkdir(join(folder, time), { recursive: true });
      await writeFile(join(folder, time, fileName), content, { mode: 0o600 });
      await symlink(time, join(folder, "..data_tmp"));
      await rename(join(folder, "..data_tmp"), join(folder, "..data"));
      await symlink(join("..data", fileName), join(folder, fileName)).catch((err: unknown) => {
        if (!(err instanceof Error && "code" in err && err.code === "EEXIST")) throw err;
      });
    },
    removePod: (podUid) => rm(join(root, "pods", podUid), { recursive: true, force: true }),
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }),
  };
}
