import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, it } from "node:test";
import { z } from "zod";
import { missingComponents } from "../kubernetes/components.ts";

// That it measures and tells everything; how fast the webhook is depends on the machine.

const main = fileURLToPath(new URL("../bench/main.ts", import.meta.url));
const skip = (await missingComponents(process.env)) ?? false;

const figure = z.number().positive();
const cell = z.strictObject({ perSecond: figure, p50Ms: figure, p99Ms: figure });
const compared = cell.extend({ throughputRatio: figure, p99Ratio: figure });
const each = (of: z.ZodType): z.ZodType => z.strictObject({ "1": of, "8": of, "32": of });

const Result = z.strictObject({
  bench: z.literal("webhook"),
  accounts: z.literal(500),
  annotated: z.literal(50),
  rounds: z.literal(1),
  secondsPerLoad: z.literal(1),
  node: z.literal(process.version),
  separateCores: z.boolean(),
  reviewBytes: z.int().min(10_000).max(10_500),
  patchBytes: z.int().positive(),
  startUp: z.strictObject({
    firstCorrectSeconds: figure,
    readySeconds: figure,
    earlyAnswers: z.int().min(0),
    earlyUnmutated: z.int().min(0),
  }),
  residentMb: z.strictObject({ ready: figure, afterLoad: figure }),
  calibration: each(cell),
  webhook: z.strictObject({ patch: each(compared), none: each(compared), again: each(compared) }),
  goals: z
    .array(z.strictObject({ goal: z.string().min(1), value: z.number().min(0), met: z.boolean() }))
    .length(10),
});

describe("npm run bench", { skip }, () => {
  it("tells every figure and every goal, as a table and as JSON", async () => {
    const args = [main, "--accounts", "500", "--seconds", "1", "--rounds", "1"];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const lines = stdout.trimEnd().split("\n");
    const result = Result.safeParse(JSON.parse(lines.at(-1) ?? ""));
    assert.equal(result.error, undefined, stdout);
    for (const name of ["calibration", "patch", "none", "again"]) {
      const rows = lines.filter((line) => line.startsWith(`${name} `));
      assert.deepEqual(
        rows.map((row) => row.split(/ +/)[1]),
        ["1", "8", "32"],
        name,
      );
    }
    assert.equal(lines.filter((line) => /^(met|missed) /.test(line)).length, 10);
  });
});
