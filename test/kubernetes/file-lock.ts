import { randomUUID } from "node:crypto";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { processExists } from "./process-exists.ts";

const POLL_MS = 500;

/**
 * Runs `action` while no other process of this machine does the same under this lock file. The lock
 * of an ended process counts as free. Two that take over such a lock at the same instant may both run:
 * `action` has to bear that.
 */
export async function withFileLock<T>(path: string, action: () => Promise<T>): Promise<T> {
  while (!(await take(path))) await sleep(POLL_MS);
  try {
    return await action();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  // Linked into place, so that the lock never exists without the id of its owner.
  const draft = `${path}-${randomUUID()}`;
  await writeFile(draft, String(process.pid));
  try {
    await link(draft, path);
    return true;
  } catch (err) {
    if (!(err instanceof Error && "code" in err && err.code === "EEXIST")) throw err;
  } finally {
    await rm(draft, { force: true });
  }
  const owner = await readFile(path, "utf8").catch(() => undefined);
  if (owner !== undefined && !processExists(Number(owner))) await rm(path, { force: true });
  return false;
}
