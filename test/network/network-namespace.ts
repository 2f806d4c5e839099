import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readlinkSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runProgram, type RunProgram } from "../../metadata-shim/rules/run-program.ts";

/** What came of a request. */
export interface Answer {
  /** Undefined when nobody answered. */
  readonly status?: number | undefined;
  /** Name of the server that answered; undefined when it was none of these tests'. */
  readonly name?: string | undefined;
  /** As that server saw the client. */
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  /** Code of the system's error when nobody answered. */
  readonly error?: string | undefined;
}

/**
 * A network namespace of its own with no way out but the links that the test makes, and a process in
 * it that serves and asks. It has a `/run` of its own, and so locks of its own. It ends when it is
 * disposed, and with the test, however that ends.
 */
export interface NetworkNamespace extends AsyncDisposable {
  readonly name: string;
  /** Of the process in it. */
  readonly pid: number;
  /** Starts a program in it. */
  spawn(program: string, args: readonly string[]): ChildProcess;
  /** Runs a program in it to its end. */
  readonly attempt: RunProgram;
  /** The same. @throws Error with what it wrote when its exit status is not 0. */
  run(program: string, args: readonly string[], stdin?: string): Promise<string>;
  /** Serves HTTP on all of its addresses; each answer names the server and its client. */
  listen(name: string, port: number): Promise<void>;
  close(name: string): Promise<void>;
  get(url: string, options?: GetOptions): Promise<Answer>;
}

export interface GetOptions {
  /** Name of a connection that is kept; a new one without it. */
  readonly connection?: string;
  readonly timeoutMs?: number;
  /** Address to come from; the system chooses without it. */
  readonly from?: string;
}

const AGENT = fileURLToPath(new URL("agent-main.ts", import.meta.url));
const LIMIT_MS = 60_000;

const Told = z.object({
  namespace: z.string().optional(),
  id: z.number().optional(),
  result: z.unknown().optional(),
  failure: z.string().optional(),
});
const AnswerSchema = z.object({
  status: z.number().optional(),
  name: z.string().optional(),
  remoteAddress: z.string().optional(),
  remotePort: z.number().optional(),
  error: z.string().optional(),
});

/** Makes a namespace with nothing in it but its loopback. */
export async function createNamespace(name: string): Promise<NetworkNamespace> {
  // A file system of its own on /run: iptables keeps its lock there, for the whole machine.
  const script = 'mount -t tmpfs tmpfs /run && ip link set lo up && exec "$@"';
  const agent = spawn(
    "unshare",
    ["--net", "--mount", "--", "sh", "-c", script, "sh", process.execPath, AGENT],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const exited = once(agent, "exit");
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  const ready = Promise.withResolvers<string>();
  createInterface(agent.stdout).on("line", (line) => {
    const told = Told.parse(JSON.parse(line));
    if (told.namespace !== undefined) ready.resolve(told.namespace);
    const wait = waiting.get(told.id ?? -1);
    if (told.failure === undefined) wait?.resolve(told.result);
    else wait?.reject(new Error(told.failure));
  });
  void exited.then(() => ready.reject(new Error(`The process of ${name} ended`)));
  const namespace = await ready.promise;
  const pid = agent.pid ?? 0;
  // Nothing below may ever happen in the namespace of the machine.
  if (namespace === readlinkSync("/proc/self/ns/net") || pid === 0) {
    agent.kill();
    throw new Error(`${name} is in the namespace of the test`);
  }

  let ids = 0;
  const tell = async (command: object): Promise<unknown> => {
    const id = (ids += 1);
    const wait = Promise.withResolvers<unknown>();
    waiting.set(id, wait);
    agent.stdin.write(`${JSON.stringify({ id, ...command })}\n`);
    return wait.promise;
  };
  const inside = [`--net=/proc/${pid}/ns/net`, `--mount=/proc/${pid}/ns/mnt`];
  const start: NetworkNamespace["spawn"] = (program, args) =>
    spawn("nsenter", [...inside, program, ...args], { timeout: LIMIT_MS });
  const attempt: RunProgram = (program, args, options) =>
    runProgram("nsenter", [...inside, program, ...args], options);
  return {
    name,
    pid,
    spawn: start,
    attempt,
    async run(program, args, stdin = "") {
      const { status, stdout, stderr } = await attempt(program, args, { stdin });
      if (status === 0) return stdout;
      throw new Error(`${program} ${args.join(" ")} ended with ${status}: ${stderr}${stdout}`);
    },
    async listen(server, port) {
      await tell({ do: "listen", name: server, port });
    },
    async close(server) {
      await tell({ do: "close", name: server });
    },
    async get(url, { connection, timeoutMs = 3000, from } = {}) {
      return AnswerSchema.parse(await tell({ do: "get", url, connection, timeoutMs, from }));
    },
    async [Symbol.asyncDispose]() {
      agent.stdin.end();
      await exited;
    },
  };
}
