import { execFile } from "node:child_process";

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Makes the command line that runs another one somewhere else. */
export type WrapCommand = (commandLine: readonly string[]) => readonly string[];

/**
 * Runs a command line to its end.
 *
 * @returns its stdout.
 * @throws Error with the command line, its stderr and its stdout.
 */
export async function runCommand(
  [program = "", ...args]: readonly string[],
  { env, stdin = "" }: { readonly env: NodeJS.ProcessEnv; readonly stdin?: string | undefined },
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const options = { env, maxBuffer: MAX_OUTPUT_BYTES };
  const child = execFile(program, args, options, (err, stdout) => {
    if (err === null) resolve(stdout);
    else reject(new Error(`${err.message}${stdout}`, { cause: err }));
  });
  // A program that does not read it to the end is no error.
  child.stdin?.on("error", () => {}).end(stdin);
  return promise;
}
