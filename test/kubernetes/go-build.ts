import { execFile } from "node:child_process";
import { access, mkdir, rename } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { withFileLock } from "./file-lock.ts";
import { startSupervised } from "./supervised-process.ts";
import { createWorkspace } from "./workspace.ts";

/** A program that Go builds. */
export interface GoProgram {
  /** Such as "Kubernetes 1.35.4", for people. */
  readonly title: string;
  /** How long a build takes where Go has nothing of it, for people. */
  readonly minutes: number;
  /** Of Go: major and minor. */
  readonly goMinimum: readonly [number, number];
  /** Path of the result, as {@link cachePath} tells. */
  readonly binary: string;
  /** Working folder of the build; the cache's own when absent. */
  readonly cwd?: string;
  /** Arguments of `go`, and further environment, that put the result into a folder under this name. */
  readonly resultName: string;
  command(folder: string): { readonly args: readonly string[]; readonly env?: NodeJS.ProcessEnv };
}

/** Where a built program is, once it has been built. Outside the checkout, so that clones share it. */
export function cachePath(name: string, env: NodeJS.ProcessEnv): string {
  const { XDG_CACHE_HOME: cacheHome = "" } = env;
  const base = cacheHome === "" ? join(homedir(), ".cache") : cacheHome;
  return join(base, "irsa-anywhere", name);
}

/** Why Go cannot build a program here, in one line; undefined when it can, or need not. */
export async function goProblem(
  { title, goMinimum, binary }: GoProgram,
  env: NodeJS.ProcessEnv,
): Promise<string | undefined> {
  if (await exists(binary)) return undefined;
  const wanted = `Go ${goMinimum.join(".")} or newer builds ${title}`;
  try {
    const { stdout } = await promisify(execFile)("go", ["env", "GOVERSION"], { env: goEnv(env) });
    const [, major = "0", minor = "0"] = /^go(\d+)\.(\d+)/.exec(stdout) ?? [];
    const [leastMajor, leastMinor] = goMinimum;
    const tooOld =
      Number(major) < leastMajor || (Number(major) === leastMajor && Number(minor) < leastMinor);
    return tooOld ? `${wanted}, and this machine has ${stdout.trim()}` : undefined;
  } catch (err) {
    return `${wanted}, and this machine has none: ${reasonOf(err)}`;
  }
}

/**
 * Builds a program unless the cache has it.
 *
 * @returns its path.
 * @throws AppError KUBERNETES_UNAVAILABLE
 */
export async function buildGoProgram(
  program: GoProgram,
  {
    env,
    progress,
  }: { readonly env: NodeJS.ProcessEnv; readonly progress: (message: string) => void },
): Promise<string> {
  const { binary, title, minutes } = program;
  if (await exists(binary)) return binary;
  const problem = await goProblem(program, env);
  if (problem !== undefined) throw new AppError("KUBERNETES_UNAVAILABLE", 500, problem);

  await mkdir(dirname(binary), { recursive: true });
  // Test files run at the same time: the second waits instead of building the same once more.
  await withFileLock(`${binary}.lock`, async () => {
    if (await exists(binary)) return;
    progress(`Building ${title} from Go modules, about ${minutes} minutes the first time`);
    await build(program, env);
  });
  return binary;
}

async function build(program: GoProgram, env: NodeJS.ProcessEnv): Promise<void> {
  const { binary, title } = program;
  // Beside the result, so that it can be renamed; gone with this process, so that no half of it stays.
  await using workspace = await createWorkspace(dirname(binary));
  const { args, env: ownEnv } = program.command(workspace.path);
  const go = await startSupervised({
    name: `go ${args[0]}`,
    command: ["go", ...args],
    logFile: join(workspace.path, "go.log"),
    cwd: program.cwd ?? workspace.path,
    env: { ...goEnv(env), ...ownEnv, TMPDIR: workspace.path },
  });
  const end = await go.wait();
  if (end !== "exit status 0") {
    const message = `Cannot build ${title}: ${go.name} ended with ${end}\n${await go.tail()}`;
    throw new AppError("KUBERNETES_UNAVAILABLE", 500, message);
  }
  await rename(join(workspace.path, program.resultName), binary);
}

/** The same build everywhere: no C compiler, no toolchain from elsewhere, no workspace around it. */
function goEnv(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return { ...env, CGO_ENABLED: "0", GOTOOLCHAIN: "local", GOWORK: "off" };
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
