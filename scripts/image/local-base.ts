import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

/** Where distroless has it, and where the Dockerfile's entrypoint looks. */
const NODE_PATH = "/nodejs/bin/node";

const CONTAINERFILE = `FROM scratch
COPY rootfs/ /
`;

/**
 * Writes the build context of a base image that needs no registry: the Node that runs this, the
 * libraries it is linked with, and an empty /tmp. Linux only.
 *
 * @param folder Where to; it must exist.
 */
export async function writeLocalBase(folder: string): Promise<void> {
  const rootfs = join(folder, "rootfs");
  await copyInto(rootfs, process.execPath, NODE_PATH);
  for (const library of await librariesOf(process.execPath)) {
    await copyInto(rootfs, library, library);
  }
  await mkdir(join(rootfs, "tmp"));
  await chmod(join(rootfs, "tmp"), 0o1777);
  await writeFile(join(folder, "Dockerfile"), CONTAINERFILE);
}

/** Paths of the shared libraries of programs, their loader included. */
export async function librariesOf(...programs: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)("ldd", [...programs]);
  // "libm.so.6 => /lib/…/libm.so.6 (0x…)", and the loader without an arrow.
  const found = stdout.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm);
  return [...new Set([...found].map(([, path = ""]) => path))];
}

/** Copies a file into a root file system, as an executable for all. */
export async function copyInto(rootfs: string, from: string, to: string): Promise<void> {
  const target = join(rootfs, to);
  await mkdir(dirname(target), { recursive: true });
  await copyFile(from, target);
  await chmod(target, 0o755);
}
