import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { remainsOf } from "./remains.ts";
import { createWorkspace } from "./workspace.ts";

/** A script in a process of its own, to see what is left of it however that ends. */
export interface KillableRun extends AsyncDisposable {
  /** Its folder for temporary files. */
  readonly folder: string;
  /** The first line on its stdout. */
  firstLine(): Promise<string>;
  /** Sends a signal, and resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
  /** What the next start does: it removes what one that was killed had no time to put under watch. */
  startNext(): Promise<void>;
}

/** @param script The path of what Node runs. */
export async function startRun(script: string, ...flags: readonly string[]): Promise<KillableRun> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-run-"));
  const child = spawn(process.execPath, [script, ...flags], {
    // Tools that build a bundle would keep a cache among the temporary files.
    env: { ...process.env, TMPDIR: folder, NODE_DISABLE_COMPILE_CACHE: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  return {
    folder,
    async firstLine() {
      const line = once(createInterface(child.stdout), "line");
      const [first] = await Promise.race([line, exited]);
      assert.ok(typeof first === "string", "the run ended before it was ready");
      return first;
    },
    async end(signal) {
      child.kill(signal);
      await exited;
    },
    async startNext() {
      await (await createWorkspace(folder))[Symbol.asyncDispose]();
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      await remainsOf(folder);
      await rmdir(folder);
    },
  };
}
