import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import {
  startSupervised,
  type SupervisedProcess,
} from "../../test/kubernetes/supervised-process.ts";
import type { UnpackedImage } from "./docker-archive.ts";

/** A running container. Disposing of it ends and removes it. */
export interface Container extends AsyncDisposable {
  /** Of the program in it, as this machine counts. */
  readonly pid: number;
  /** Resolves when the program has ended. */
  readonly ended: Promise<string>;
  /** The last lines of what it wrote. */
  tail(): Promise<string>;
}

/** Why no container can be run here, in one line; undefined when they can. */
export async function runcProblem(): Promise<string | undefined> {
  const wanted = "containers are run by runc as root";
  if (process.getuid?.() !== 0) return `${wanted}, and this is another user`;
  try {
    await promisify(execFile)("runc", ["--version"]);
    return undefined;
  } catch {
    return `${wanted}, and this machine has no runc (Debian, Ubuntu: apt-get install runc)`;
  }
}

/**
 * Runs an image as strictly as the manifests do: read-only root, no capability, no new privileges, and
 * a network namespace of its own, from which no way leads out.
 *
 * @param folder Where its files go; it must exist, and belong to this container alone.
 */
export async function startContainer(
  image: UnpackedImage,
  args: readonly string[],
  folder: string,
): Promise<Container> {
  const state = join(folder, "state");
  await mkdir(state);
  await writeFile(join(folder, "config.json"), JSON.stringify(specOf(image, args)));
  const runc = ["runc", `--root=${state}`];
  const id = "irsa";
  const process: SupervisedProcess = await startSupervised({
    name: "runc",
    command: [...runc, "run", `--bundle=${folder}`, id],
    logFile: join(folder, "container.log"),
    cwd: folder,
    env: { PATH: globalThis.process.env["PATH"] },
  });
  const remove = async (): Promise<void> => {
    await run([...runc, "delete", "--force", id]);
    await process.stop(1000);
  };
  try {
    return {
      pid: await pidOf([...runc, "state", id], process),
      ended: process.wait(),
      tail: () => process.tail(),
      [Symbol.asyncDispose]: remove,
    };
  } catch (err) {
    await remove();
    throw err;
  }
}

const State = z.looseObject({ status: z.string(), pid: z.number() });
const POLL_MS = 20;

async function pidOf(command: readonly string[], process: SupervisedProcess): Promise<number> {
  let hasEnded = false;
  void process.ended.finally(() => {
    hasEnded = true;
  });
  for (;;) {
    const text = await run(command).catch(() => undefined);
    const state = text === undefined ? undefined : State.parse(JSON.parse(text));
    if (state?.status === "running") return state.pid;
    if (hasEnded) throw new Error(`Cannot run the container: ${await process.tail()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function run([program = "", ...args]: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, args)).stdout;
}

/** github.com/opencontainers/runtime-spec, config.json. */
function specOf(
  { rootfs, user, env, workingDir, entrypoint }: UnpackedImage,
  args: readonly string[],
): object {
  const [uid = 0, gid = 0] = user.split(":").map(Number);
  const none = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] };
  return {
    ociVersion: "1.0.2",
    process: {
      terminal: false,
      user: { uid, gid },
      args: [...entrypoint, ...args],
      env,
      cwd: workingDir,
      capabilities: none,
      noNewPrivileges: true,
    },
    root: { path: rootfs, readonly: true },
    hostname: "irsa",
    mounts: [
      mount("proc", "/proc", []),
      mount("tmpfs", "/dev", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    ],
    linux: {
      namespaces: ["pid", "network", "ipc", "uts", "mount"].map((type) => ({ type })),
      maskedPaths: ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
    },
  };
}

function mount(type: string, destination: string, options: readonly string[]): object {
  return { destination, type, source: type, options };
}
