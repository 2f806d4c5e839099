import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const requirements = new URL("clients/requirements.txt", import.meta.url);

/** Whether this machine has a Python 3 that can make virtual environments. */
export async function hasPython(): Promise<boolean> {
  try {
    await run("python3", ["-c", "import venv, ensurepip"]);
    return true;
  } catch {
    return false;
  }
}

/**
 * Makes a virtual environment with the pinned clients, once per content of the requirements, in the
 * user's cache.
 *
 * @returns the path of its interpreter.
 */
export async function ensurePythonEnvironment(): Promise<string> {
  const pinned = await readFile(requirements, "utf8");
  const { stdout: version } = await run("python3", ["--version"]);
  const hash = createHash("sha256").update(`${version}${pinned}`).digest("hex").slice(0, 16);
  const cache = process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache");
  const folder = join(cache, "irsa-anywhere", `python-${hash}`);
  const [python, finished] = [join(folder, "bin", "python"), join(folder, "finished")];
  if (existsSync(finished)) return python;
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await run("python3", ["-m", "venv", folder]);
  await run(python, ["-m", "pip", "install", "--quiet", "-r", requirements.pathname]);
  await writeFile(finished, "");
  return python;
}
