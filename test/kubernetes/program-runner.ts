import { join } from "node:path";
import { startSupervised, type SupervisedProcess } from "./supervised-process.ts";

/** Runs the programs of one control plane or cluster. Disposing of it ends them at once. */
export interface ProgramRunner extends AsyncDisposable {
  /** Where the programs work, and log. */
  readonly folder: string;
  /** The environment of all of them. */
  readonly env: NodeJS.ProcessEnv;
  /** Starts a program under a name that no other has; errors and its log file call it so. */
  start(name: string, commandLine: readonly string[]): Promise<SupervisedProcess>;
  /** The last lines of each program's log, by its name. */
  logs(): Promise<Readonly<Record<string, string>>>;
}

/** @param path The `PATH` that programs are found in. */
export function createProgramRunner(folder: string, path: string | undefined): ProgramRunner {
  const started: Promise<SupervisedProcess>[] = [];
  // Nothing of the developer's own cluster, proxy or cloud gets in.
  const env = { PATH: path, HOME: folder, TMPDIR: folder };
  let disposed = false;
  return {
    folder,
    env,
    async start(name, command) {
      // A start of several things in parallel may have failed in another of them.
      if (disposed) throw new Error(`Expected ${name} to be started before the end`);
      const logFile = join(folder, `${name}.log`);
      const supervised = startSupervised({ name, command, logFile, cwd: folder, env });
      started.push(supervised);
      return supervised;
    },
    async logs() {
      const all = await Promise.all(started);
      const tails = all.map(async (process) => [process.name, await process.tail()] as const);
      return Object.fromEntries(await Promise.all(tails));
    },
    async [Symbol.asyncDispose]() {
      disposed = true;
      const results = await Promise.allSettled(started);
      const running = results.flatMap((it) => (it.status === "fulfilled" ? [it.value] : []));
      // They have nothing to save, so no time is given to them.
      await Promise.all(running.map((supervised) => supervised.stop(0)));
    },
  };
}
