import { spawn } from "node:child_process";
import { once } from "node:events";
import { open } from "node:fs/promises";
import { Socket } from "node:net";
import { fileTail } from "./file-tail.ts";

/** A running child process that ends at the latest when this process does. */
export interface SupervisedProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves, never rejects, when the process has ended: `exit status 1` or `signal SIGKILL`. */
  readonly ended: Promise<string>;
  /** {@link ended}, and keeps this process alive until then. */
  wait(): Promise<string>;
  /** The last lines of what it wrote. */
  tail(): Promise<string>;
  /** Asks it to end (SIGTERM), ends it after `graceMs` milliseconds, and resolves when it is gone. */
  stop(graceMs: number): Promise<void>;
}

// The shell becomes the program, so its pid, signals and exit status are the program's own. POSIX only,
// so that it works for executables that know nothing of it.
const UNDER_LIFELINE = `
  { cat <&3; kill -KILL 0; } >/dev/null 2>&1 &
  exec "$@" 3<&-
`;

/**
 * The command line that runs another one until a pipe ends, its lifeline, which it gets as the fourth of
 * its `stdio`. Where only this process holds that open, the kernel closes it however this process ends,
 * also by SIGKILL, and then the whole process group goes: start it `detached`, in one of its own.
 *
 * @param name What the shell is called in its messages.
 */
export function underLifeline(
  name: string,
  command: readonly string[],
): readonly [string, ...string[]] {
  return ["/bin/sh", "-c", UNDER_LIFELINE, name, ...command];
}

/**
 * Starts a program in a process group of its own, with its output in a file. It does not keep this
 * process alive: a test that forgets to stop it ends nevertheless, and takes it along.
 *
 * @throws the error of the spawn, such as EAGAIN. A program that cannot be executed ends with 126 or 127.
 */
export async function startSupervised({
  name,
  command,
  logFile,
  cwd,
  env,
}: {
  /** What it is called in errors. */
  readonly name: string;
  readonly command: readonly string[];
  /** Appended to. */
  readonly logFile: string;
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}): Promise<SupervisedProcess> {
  await using log = await open(logFile, "a");
  const [program, ...args] = underLifeline(name, command);
  const child = spawn(program, args, {
    cwd,
    env,
    detached: true,
    stdio: ["ignore", log.fd, log.fd, "pipe"],
  });
  const lifeline = child.stdio[3];
  if (!(lifeline instanceof Socket)) throw new Error(`Expected a pipe to ${name}`);
  // Resolves with the error, if any: a child that could not be started emits no "exit".
  const ended = new Promise<string>((resolve) => {
    child.once("error", (err) => resolve(err.message));
    child.once("exit", (code, signal) => {
      resolve(signal === null ? `exit status ${code}` : `signal ${signal}`);
    });
  }).finally(() => lifeline.destroy());
  await once(child, "spawn");
  child.unref();
  lifeline.unref();
  const { pid } = child;
  if (pid === undefined) throw new Error(`Expected a pid for ${name}`);

  return {
    name,
    pid,
    ended,
    async wait() {
      child.ref();
      return ended;
    },
    tail: () => fileTail(logFile),
    async stop(graceMs) {
      child.ref();
      child.kill("SIGTERM");
      const cut = setTimeout(() => lifeline.destroy(), graceMs);
      await ended;
      clearTimeout(cut);
    },
  };
}
