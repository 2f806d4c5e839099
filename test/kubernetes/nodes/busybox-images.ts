import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { PAUSE_IMAGE } from "./containerd.ts";
import { createDockerArchive } from "./docker-archive.ts";

/** Debian's busybox-static. */
export const BUSYBOX = "/usr/bin/busybox";

/** An image with a shell and the usual small programs, for pods of tests. */
export const TOOLS_IMAGE = "localhost/tools:test";

/**
 * Makes the two images that every node has, {@link PAUSE_IMAGE} and {@link TOOLS_IMAGE}, and resolves
 * with their docker-archives.
 */
export async function createBusyboxImages(folder: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(BUSYBOX, ["--list"]);
  const rootfs = join(folder, "busybox");
  const bin = join(rootfs, "bin");
  await mkdir(bin, { recursive: true });
  await Promise.all(["etc", "tmp"].map((name) => mkdir(join(rootfs, name))));
  await chmod(join(rootfs, "tmp"), 0o1777);
  await writeFile(join(rootfs, "etc", "passwd"), "root:x:0:0:root:/:/bin/sh\n");
  await copyFile(BUSYBOX, join(bin, "busybox"));
  const names = stdout.split("\n").filter((name) => name !== "" && name !== "busybox");
  await Promise.all(names.map((name) => symlink("busybox", join(bin, name))));
  const forever = ["/bin/sleep", "2147483647"];
  const files = { pause: join(folder, "pause.tar"), tools: join(folder, "tools.tar") };
  await createDockerArchive(files.pause, {
    rootfs,
    reference: PAUSE_IMAGE,
    config: { Entrypoint: forever },
  });
  await createDockerArchive(files.tools, {
    rootfs,
    reference: TOOLS_IMAGE,
    config: { Cmd: forever, Env: ["PATH=/bin"] },
  });
  await rm(rootfs, { recursive: true });
  return Object.values(files);
}
