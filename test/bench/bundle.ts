import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";

const root = new URL("../../", import.meta.url);
const PackageJson = z.object({ scripts: z.object({ build: z.string() }) });

/** Builds the program as it ships, into a folder below `folder`. @returns the path of its main file. */
export async function buildBundle(folder: string): Promise<string> {
  const dist = join(folder, "dist");
  const text = await readFile(new URL("package.json", root), "utf8");
  const { build } = PackageJson.parse(JSON.parse(text)).scripts;
  const [program = "", ...args] = `${build} --dir ${dist}`.split(" ");
  const executable = fileURLToPath(new URL(`node_modules/.bin/${program}`, root));
  await promisify(execFile)(executable, args, { cwd: root });
  return join(dist, "irsa.mjs");
}
