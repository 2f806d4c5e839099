import { execFile } from "node:child_process";

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Makes the command line that runs another one somewhere else. */
export type WrapCommand = (commandLine: readonly string[]) => readonly string[];

/**
 * Runs a command line to its end.
 *
 * @returns its stdout.
 * @throws Error with its stderr.
 */
export async function runCommand(
  [program = "", ...args]: readonly string[],
  { env, stdin = "" }: { readonly env: NodeJS.ProcessEnv; readonly stdin?: string | undefined },
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { env, maxBuffer: MAX_OUTPUT_BYTES };
  const child = execFile(program, args, options, (err, stdout, stderr) => {
    if (err === null) resolve(stdout);
    else reject(new Error(`Cannot run ${program}: ${err.message}\n${stderr}`, { cause: err }));
  });
  // A program that does not read it to the end is no error.
  child.stdin?.on("error", () => {}).end(stdin);
  return promise;
}
