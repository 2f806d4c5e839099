import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { processesWith, remainsOf } from "./remains.ts";
import { startSupervised, type SupervisedProcess } from "./supervised-process.ts";

describe("startSupervised", () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "irsa-supervised-"));
  });
  after(() => rm(folder, { recursive: true }));

  const start = (command: readonly string[]): Promise<SupervisedProcess> => {
    const logFile = join(folder, `${Math.random()}.log`);
    return startSupervised({ name: "it", command, logFile, cwd: folder, env: process.env });
  };
  const shell = (script: string): Promise<SupervisedProcess> => start(["sh", "-c", script]);

  for (const [script, end] of [
    ["exit 0", "exit status 0"],
    ["exit 7", "exit status 7"],
    ["kill -KILL $$", "signal SIGKILL"],
  ] as const) {
    it(`tells how "${script}" ended`, async () => {
      assert.equal(await (await shell(script)).wait(), end);
    });
  }

  it("keeps the last lines of both outputs", async () => {
    const child = await shell('for i in $(seq 100); do echo "out $i"; done; echo err >&2');
    await child.wait();
    const lines = (await child.tail()).split("\n");
    assert.deepEqual([lines.length, ...lines.slice(-2)], [25, "out 100", "err"]);
  });

  it("reports a program that does not exist as the shell does", async () => {
    const child = await start(["no-such-program"]);
    assert.equal(await child.wait(), "exit status 127");
    assert.match(await child.tail(), /no-such-program: not found/);
  });

  it("asks the program itself to stop", async () => {
    const child = await shell(
      'trap "echo asked; exit 3" TERM; echo ready; while :; do sleep 0.1; done',
    );
    while ((await child.tail()) !== "ready") continue;
    await child.stop(60_000);
    assert.equal(await child.ended, "exit status 3");
    assert.match(await child.tail(), /asked/);
  });

  it("ends one that does not listen, with all that it started", async () => {
    // A path that no other process is told.
    const mark = join(folder, "mark");
    const child = await shell(`trap "" TERM; sh -c 'sleep 60; :' ${mark} & echo ready; wait; wait`);
    while ((await child.tail()) !== "ready") continue;
    assert.notDeepEqual(await processesWith(mark), []);
    await child.stop(0);
    assert.equal(await child.ended, "signal SIGKILL");
    assert.deepEqual(await remainsOf(mark), []);
  });
});
