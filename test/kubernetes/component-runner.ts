import { join } from "node:path";
import type { CommandOf, Component } from "./components.ts";
import { startSupervised, type SupervisedProcess } from "./supervised-process.ts";

/** Runs the components of one control plane. Disposing of it ends them at once. */
export interface ComponentRunner extends AsyncDisposable {
  /** Starts a component; `name` tells several of one kind apart, in errors and log files. */
  run(component: Component, flags: readonly string[], name?: string): Promise<SupervisedProcess>;
  /** The last lines of each component's log, by its name. */
  logs(): Promise<Readonly<Record<string, string>>>;
}

/** Makes a runner whose components work in `folder`, and log there. */
export function createComponentRunner(
  folder: string,
  commandOf: CommandOf,
  path: string | undefined,
): ComponentRunner {
  const started: Promise<SupervisedProcess>[] = [];
  let disposed = false;
  return {
    async run(component, flags, name = component) {
      // A start of several things in parallel may have failed in another of them.
      if (disposed) throw new Error(`Expected ${name} to be started before the end`);
      const supervised = startSupervised({
        name,
        command: [...commandOf(component), ...flags],
        logFile: join(folder, `${name}.log`),
        cwd: folder,
        // Nothing of the developer's own cluster, proxy or cloud gets in.
        env: { PATH: path, HOME: folder, TMPDIR: folder },
      });
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
