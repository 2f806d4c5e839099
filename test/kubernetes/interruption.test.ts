// However the process that started a control plane ends, nothing is left of it.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rmdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { missingComponents } from "./components.ts";
import { processesWith, remainsOf } from "./remains.ts";
import { createWorkspace } from "./workspace.ts";

const skip = (await missingComponents(process.env)) ?? false;
const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

describe("a control plane whose starter ends", { skip }, () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`by ${signal} when it runs`, async () => {
      await using run = await startRun();
      const line = await run.firstLine();
      const { kubeconfig, server } = JSON.parse(line) as Record<string, string>;
      assert.ok(kubeconfig?.startsWith(run.folder));
      assert.match(server ?? "", /^https:\/\/127\.0\.0\.1:\d+$/);
      assert.notDeepEqual(await processesWith(`${run.folder}/irsa-kube-`), []);
      await run.end(signal);
      assert.deepEqual(await remainsOf(run.folder), []);
    });
  }

  for (const signal of ["SIGINT", "SIGTERM", "SIGKILL"] as const) {
    it(`by ${signal} while it starts`, async () => {
      await using run = await startRun();
      while (
        !(await processesWith(`${run.folder}/irsa-kube-`)).some((line) => line.includes(" etcd "))
      ) {
        await sleep(10);
      }
      await run.end(signal);
      // The next start removes what the killed one had no time to put under watch.
      await (await createWorkspace(run.folder))[Symbol.asyncDispose]();
      assert.deepEqual(await remainsOf(run.folder), []);
    });
  }
});

interface Run extends AsyncDisposable {
  /** Its folder for temporary files. */
  readonly folder: string;
  /** The first line on its stdout. */
  firstLine(): Promise<string>;
  /** Sends a signal, and resolves when the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

async function startRun(): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), "irsa-run-"));
  const flags = ["--controller-manager=false", "--scheduler=false"];
  const child: ChildProcess = spawn(process.execPath, [MAIN, ...flags], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  return {
    folder,
    async firstLine() {
      assert.ok(child.stdout);
      const line = once(createInterface(child.stdout), "line");
      const [first] = await Promise.race([line, exited]);
      assert.ok(typeof first === "string", "the run ended before it was ready");
      return first;
    },
    async end(signal) {
      child.kill(signal);
      await exited;
    },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await exited;
      await remainsOf(folder);
      await rmdir(folder);
    },
  };
}
