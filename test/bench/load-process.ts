import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { onCore, type Cores } from "./cores.ts";
import { LoadResult, type LoadJob } from "./load.ts";

const LOAD = fileURLToPath(new URL("load-main.ts", import.meta.url));
const START_MS = 60_000;

/** One load on the core for it, in a process of its own. */
export async function runLoadProcess(
  job: Omit<LoadJob, "hasOwnCore">,
  { cores, signal }: { readonly cores: Cores; readonly signal: AbortSignal },
): Promise<LoadResult> {
  const whole: LoadJob = { ...job, hasOwnCore: cores !== undefined };
  const node = [process.execPath, LOAD, JSON.stringify(whole)];
  const [program = "", ...args] = onCore(cores?.load, node);
  const timeout = job.seconds * 1000 + START_MS;
  const { stdout } = await promisify(execFile)(program, args, { timeout, signal });
  return LoadResult.parse(JSON.parse(stdout));
}
