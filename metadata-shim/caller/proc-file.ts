import { open } from "node:fs/promises";

/** The kernel gives files of `/proc` page by page; read as bytes, Node would make 64 KiB for each page. */
const PAGE_BYTES = 4096;

/**
 * Reads a file of a process; undefined when the process is gone. Never at once: the kernel needs some
 * milliseconds to write `/proc/1/net/tcp`, and before Linux 6.8 `/proc/1/cgroup` waits for whoever
 * moves processes between cgroups (`cgroup_mutex`), which may be long.
 *
 * @returns bytes, since a large file would fill the heap as text.
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

function twiceAsLong(bytes: Buffer): Buffer<ArrayBuffer> {
  const longer = Buffer.allocUnsafeSlow(2 * bytes.length);
  bytes.copy(longer);
  return longer;
}

/** ENXIO is what a table of sockets gives whose network namespace is just going. */
const GONE: ReadonlySet<unknown> = new Set(["ENOENT", "ESRCH", "ENXIO"]);

function isGone(err: unknown): boolean {
  return err instanceof Error && "code" in err && GONE.has(err.code);
}
