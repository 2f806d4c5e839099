import { spawn } from "node:child_process";
import { text } from "node:stream/consumers";

export interface ProgramResult {
  /** Exit status; undefined when the program was not found or did not end by itself. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Never rejects. */
export type RunProgram = (
  program: string,
  args: readonly string[],
  options?: { readonly stdin?: string | undefined },
) => Promise<ProgramResult>;

/** Longer than the wait for the lock of iptables. */
const TIMEOUT_MS = 60_000;

/** Runs a program of this machine, found by PATH. */
export const runProgram: RunProgram = async (program, args, { stdin = "" } = {}) => {
  const child = spawn(program, args, { timeout: TIMEOUT_MS });
  const ended = Promise.withResolvers<ProgramResult["status"]>();
  let failure = "";
  child.on("error", (err) => {
    failure = err.message;
    ended.resolve(undefined);
  });
  child.on("close", (status) => ended.resolve(status ?? undefined));
  // A program that ends before it has read everything says why by its status.
  child.stdin.on("error", () => {});
  child.stdin.end(stdin);
  const [status, stdout, stderr] = await Promise.all([
    ended.promise,
    text(child.stdout),
    text(child.stderr),
  ]);
  return { status, stdout, stderr: stderr || failure };
};
