import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";

/** A core for the server and another for the load; undefined where they cannot be kept apart. */
export type Cores = { readonly server: number; readonly load: number } | undefined;

/**
 * Finds two cores that this process may use. Needs Linux and `taskset` (util-linux).
 *
 * @param path the `PATH` to look for programs in.
 */
export async function findCores(path: string): Promise<Cores> {
  const hasTaskset = path.split(delimiter).some((folder) => existsSync(join(folder, "taskset")));
  if (!hasTaskset || process.platform !== "linux") return undefined;
  const [server, load] = allowedCores(await readFile("/proc/self/status", "utf8"));
  return server === undefined || load === undefined ? undefined : { server, load };
}

/** The cores that `Cpus_allowed_list` of a `/proc/PID/status` names, such as `0-2,5` (proc(5)). */
export function allowedCores(status: string): readonly number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? "";
  return list.split(",").flatMap((range) => {
    const [, first, last] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? [];
    if (first === undefined) return [];
    const length = Number(last ?? first) - Number(first) + 1;
    return Array.from({ length }, (_, i) => Number(first) + i);
  });
}

/** The command that runs another on one core; unchanged where none is given. */
export function onCore(core: number | undefined, command: readonly string[]): readonly string[] {
  return core === undefined ? command : ["taskset", "-c", String(core), ...command];
}
