import { execFile } from "node:child_process";
import { promisify } from "node:util";

/**
 * Runs a program in a Node of its own that lets it collect garbage (`gc()`) and look into V8 (`%Name()`).
 *
 * @param program Text of an ECMAScript module, which finds `args` from `process.argv[1]` on.
 * @returns what it writes, which must be JSON.
 */
export async function runNatives(program: string, args: readonly string[]): Promise<unknown> {
  const flags = ["--allow-natives-syntax", "--expose-gc", "--input-type=module"];
  const all = [...flags, "-e", program, ...args];
  const { stdout } = await promisify(execFile)(process.execPath, all);
  return JSON.parse(stdout);
}
