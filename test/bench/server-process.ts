import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { startSupervised, type SupervisedProcess } from "../kubernetes/supervised-process.ts";
import { onCore } from "./cores.ts";

/** A server that is measured, in a process of its own. */
export interface ServerProcess extends AsyncDisposable {
  /** Resolves, never rejects, with how it ended. */
  readonly ended: Promise<string>;
  /** Time that it has been on a core so far, in seconds. */
  cpuSeconds(): Promise<number>;
  /** Memory that is resident now, in MB (10^6 bytes). */
  residentMb(): Promise<number>;
  /** The last lines of what it wrote to stderr. */
  tail(): Promise<string>;
}

const STOP_MS = 15_000;
/** USER_HZ, which is the same on all machines that Node runs on. */
const TICKS_PER_SECOND = 100;

/**
 * Starts one on a core of its own. Its log, one line a review as by default, goes to /dev/null; its
 * environment is `env` alone, so that nothing of this machine's changes what it does.
 */
export async function startServerProcess(
  name: string,
  args: readonly string[],
  {
    folder,
    core,
    env = {},
  }: {
    readonly folder: string;
    readonly core: number | undefined;
    readonly env?: Readonly<Record<string, string>> | undefined;
  },
): Promise<ServerProcess> {
  const node = onCore(core, [process.execPath, ...args]);
  const child: SupervisedProcess = await startSupervised({
    name,
    command: ["/bin/sh", "-c", 'exec "$@" >/dev/null', name, ...node],
    logFile: join(folder, `${name}.log`),
    cwd: folder,
    env: { PATH: process.env["PATH"], ...env },
  });
  return {
    ended: child.ended,
    tail: () => child.tail(),
    async cpuSeconds() {
      const stat = await readFile(`/proc/${child.pid}/stat`, "utf8");
      // utime and stime of proc_pid_stat(5), counted from the field after the name.
      const [user, system] = stat
        .slice(stat.lastIndexOf(")") + 2)
        .split(" ")
        .slice(11, 13);
      return (Number(user) + Number(system)) / TICKS_PER_SECOND;
    },
    async residentMb() {
      const status = await readFile(`/proc/${child.pid}/status`, "utf8");
      const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
      if (kib === undefined) throw new Error(`Cannot read the memory of ${name}`);
      return (Number(kib) * 1024) / 1e6;
    },
    [Symbol.asyncDispose]: () => child.stop(STOP_MS),
  };
}

/** Rejects when a server has ended, with the end of what it wrote. */
export async function failureOf(server: ServerProcess): Promise<never> {
  const how = await server.ended;
  throw new Error(`A server ended with ${how}: ${await server.tail()}`);
}
