import { readFileSync } from "node:fs";
import { open } from "node:fs/promises";

/** The kernel gives files of `/proc` page by page; Node would make 64 KiB for each of the pages. */
const PAGE_BYTES = 4096;

/**
 * Reads a file of a process; undefined when the process is gone.
 *
 * @param file As in `/proc/1/net/tcp`, which the kernel needs some milliseconds to write. It may be
 *   large, and as text would fill the heap.
 */
export async function readProcFile(file: string): Promise<Buffer | undefined> {
  try {
    await using handle = await open(file);
    let bytes = Buffer.allocUnsafeSlow(2 * PAGE_BYTES);
    let length = 0;
    for (;;) {
      if (bytes.length - length < PAGE_BYTES) bytes = twiceAsLong(bytes);
      const { bytesRead } = await handle.read(bytes, length, PAGE_BYTES, null);
      if (bytesRead === 0) return bytes.subarray(0, length);
      length += bytesRead;
    }
  } catch (err) {
    if (isGone(err)) return undefined;
    throw err;
  }
}

/**
 * The text of one at once, for a small file that the kernel has at hand, such as `/proc/1/cgroup`: that takes
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

function twiceAsLong(bytes: Buffer): Buffer<ArrayBuffer> {
  const longer = Buffer.allocUnsafeSlow(2 * bytes.length);
  bytes.copy(longer);
  return longer;
}

function isGone(err: unknown): boolean {
  const code = err instanceof Error && "code" in err ? err.code : undefined;
  return code === "ENOENT" || code === "ESRCH";
}
