import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";

/** The kernel gives files of `/proc` page by page; Node would make 64 KiB for each of the pages. */
const PAGE_BYTES = 4096;

/**
 * Reads a file of a process, all of whose letters are ASCII; undefined when the process is gone.
 *
 * @param file As in `/proc/1/net/tcp`, which the kernel needs some milliseconds to write.
 */
export async function readProcFile(file: string): Promise<string | undefined> {
  try {
    await using handle = await open(file);
    const page = Buffer.allocUnsafeSlow(PAGE_BYTES);
    let text = "";
    for (;;) {
      const { bytesRead } = await handle.read(page, 0, PAGE_BYTES, null);
      if (bytesRead === 0) return text;
      text += page.toString("latin1", 0, bytesRead);
    }
  } catch (err) {
    if (isGone(err)) return undefined;
    throw err;
  }
}

/**
 * The same at once, for a small file that the kernel has at hand, such as `/proc/1/cgroup`: that takes
 * some microseconds, and the way through Node's pool of threads ten times as long.
 */
export function readProcFileNow(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (err) {
    if (isGone(err)) return undefined;
    throw err;
  }
}

function isGone(err: unknown): boolean {
  const code = err instanceof Error && "code" in err ? err.code : undefined;
  return code === "ENOENT" || code === "ESRCH";
}
