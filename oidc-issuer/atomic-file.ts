import { randomBytes } from "node:crypto";
import { chmod, mkdir, open, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";

const Exists = z.looseObject({ code: z.literal("EEXIST") });

/**
 * Writes a file that readers see whole, before or after: a temporary file beside it is written, synced
 * and renamed over it. Makes its folder when missing. Everybody may read both, whatever the umask: a web
 * server may run as another user.
 *
 * @throws the error of the file system; the old file is then still there.
 */
export async function writeFileAtomically(path: string, content: Uint8Array): Promise<void> {
  const folder = dirname(path);
  await makeFolder(folder);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    const file = await open(temporary, "wx", 0o644);
    try {
      await file.writeFile(content);
      await file.chmod(0o644);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (err) {
    await rm(temporary, { force: true });
    throw err;
  }
  // The rename itself is safe only when its folder is on disk.
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

// Not by Node's recursive mkdir, which says ENOENT where a file system is read-only, and never ends
// where one makes no folders, such as /proc.
async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  await makeFolder(dirname(path));
  try {
    await mkdir(path);
    await chmod(path, 0o755);
  } catch (err) {
    // Another writer was first.
    if (!Exists.safeParse(err).success) throw err;
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
