// However the process that builds an image ends, nothing is left of it.
import assert from "node:assert/strict";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildahProblem } from "../../scripts/image/buildah.ts";
import { untilWithin } from "../fakes/until.ts";
import { mountsWith } from "../kubernetes/kernel-traces.ts";
import { startRun } from "../kubernetes/killable-run.ts";
import { processesWith, remainsOf } from "../kubernetes/remains.ts";

const skip = (await buildahProblem()) ?? false;
const untilBuilding = untilWithin({ limitMs: 60_000, pauseMs: 10 });
const IMAGE = fileURLToPath(new URL("../../scripts/image.ts", import.meta.url));

describe("a build of an image whose starter ends", { skip }, () => {
  for (const signal of ["SIGINT", "SIGKILL"] as const) {
    // Without layers below, and on those of another image, which other drivers would mount.
    for (const context of ["build/base", "build/context"]) {
      it(`by ${signal} while buildah works on ${context}`, async () => {
        await using out = await mkdtempDisposable(join(tmpdir(), "irsa-image-"));
        const file = join(out.path, "image.tar");
        await using run = await startRun(IMAGE, "--local-base", `--file=${file}`);
        await untilBuilding("buildah builds", () => isBuilding(run.folder, context));
        // Into its work, not into its start.
        await sleep(200);
        assert.ok(
          await isBuilding(run.folder, context),
          "buildah has ended too soon for this test",
        );
        await run.end(signal);
        await run.startNext();
        assert.deepEqual(await remainsOf(run.folder), []);
        assert.deepEqual(await mountsWith(run.folder), []);
      });
    }
  }
});

async function isBuilding(folder: string, context: string): Promise<boolean> {
  const lines = await processesWith(folder);
  return lines.some((line) => line.includes("buildah") && line.endsWith(context));
}
