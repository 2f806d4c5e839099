import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { lasting } from "../test/kubernetes/remains.ts";

const POLL_MS = 50;
const RUNNER = fileURLToPath(new URL("test.ts", import.meta.url));

describe("npm test that is ended in the middle", () => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    it(`by ${signal} leaves no test running`, { timeout: 60_000 }, async () => {
      const child = spawn(process.execPath, [RUNNER, "aws"], {
        // Which tells that this is a test already: then another runner would run none.
        env: { ...process.env, NODE_TEST_CONTEXT: undefined },
        stdio: "ignore",
      });
      const group = await groupOfTests(child.pid ?? 0);
      child.kill(signal);
      await once(child, "exit");
      assert.deepEqual(await lasting(() => membersOf(group)), []);
    });
  }
});

/** The process group that a runner has started, as soon as a test file runs in it. */
async function groupOfTests(runner: number): Promise<number> {
  for (;;) {
    const found = (await allProcesses()).find(({ parent }) => parent === runner);
    if (found !== undefined && (await membersOf(found.group)).some(isTestFile)) return found.group;
    await sleep(POLL_MS);
  }
}

function isTestFile(command: string): boolean {
  return command.includes(" test/aws/") && !command.includes("--test-reporter");
}

async function membersOf(group: number): Promise<readonly string[]> {
  const members = (await allProcesses()).filter((process) => process.group === group);
  return members.map(({ command }) => command);
}

interface Process {
  readonly parent: number;
  readonly group: number;
  readonly command: string;
}

async function allProcesses(): Promise<readonly Process[]> {
  const columns = ["-o", "ppid=", "-o", "pgid=", "-o", "args="];
  const { stdout } = await promisify(execFile)("ps", ["-A", ...columns]);
  return [...stdout.matchAll(/^ *(\d+) +(\d+) (.*)$/gm)].map(([, parent, group, command = ""]) => ({
    parent: Number(parent),
    group: Number(group),
    command,
  }));
}
