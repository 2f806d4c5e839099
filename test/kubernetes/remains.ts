import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const POLL_MS = 50;
const PATIENCE_MS = 20_000;

/** What a run has left, after a while: the files in the folder, and the processes that were told its path. */
export async function remainsOf(folder: string): Promise<readonly string[]> {
  return lasting(async () => [...(await processesWith(folder)), ...(await filesIn(folder))]);
}

/**
 * What of something does not go. A process that was killed may take a moment, so this waits until
 * nothing is left, or no longer hopes for it.
 */
export async function lasting(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const startMs = Date.now();
  for (;;) {
    const remains = await look();
    if (remains.length === 0 || Date.now() - startMs > PATIENCE_MS) return remains;
    await sleep(POLL_MS);
  }
}

/** The command lines, with their process ids, that hold a text. */
export async function processesWith(text: string): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-o", "pid=,args="]);
  return stdout.split("\n").filter((line) => line.includes(text));
}

async function filesIn(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return [];
    throw err;
  }
}
