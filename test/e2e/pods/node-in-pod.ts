import { z } from "zod";
import { parseStanding, type Standing } from "../../../scripts/image/measure-image.ts";
import type { Cluster } from "../../kubernetes/cluster.ts";

const ProcessFiles = z.object({ status: z.string(), mountInfo: z.string() });

/**
 * Runs the Node of a container, and resolves with what it prints.
 *
 * @param where The pod as `kubectl exec` is told of it.
 */
export function runNodeIn(
  cluster: Cluster,
  where: readonly string[],
  ...args: readonly string[]
): Promise<string> {
  return cluster.kubectl("exec", ...where, "--", "/nodejs/bin/node", ...args);
}

/**
 * What the kernel says of a process in a container, read by its own Node: there is no shell.
 *
 * @param process The id as the container sees it, or `self` for one that is started there.
 */
export async function standingOf(
  cluster: Cluster,
  where: readonly string[],
  process: "1" | "self",
): Promise<Standing> {
  const script = `
    const { readFileSync } = process.getBuiltinModule("node:fs");
    const read = (name) => readFileSync("/proc/${process}/" + name, "utf8");
    console.log(JSON.stringify({ status: read("status"), mountInfo: read("mountinfo") }));`;
  const output = await runNodeIn(cluster, where, "--eval", script);
  return parseStanding(ProcessFiles.parse(JSON.parse(output)));
}
