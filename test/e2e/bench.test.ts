import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, it } from "node:test";
import { z } from "zod";
import { missingComponents } from "../kubernetes/components.ts";
import { missingTools } from "../network/missing-tools.ts";

// That it measures and tells everything; how fast the programs are depends on the machine.

const main = fileURLToPath(new URL("../bench/main.ts", import.meta.url));
const skip = (await missingComponents(process.env)) ?? false;

const figure = z.number().positive();
const cell = z.strictObject({ perSecond: figure, p50Ms: figure, p99Ms: figure });
const compared = cell.extend({ throughputRatio: figure, p99Ratio: figure });
const each = (of: z.ZodType): z.ZodType => z.strictObject({ "1": of, "8": of, "32": of });

const goalsOf = (count: number): z.ZodType =>
  z
    .array(z.strictObject({ goal: z.string().min(1), value: z.number().min(0), met: z.boolean() }))
    .length(count);

const WebhookResult = z.strictObject({
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
  goals: goalsOf(10),
});

const costs = { slowestFirstMs: figure, cpuUs: figure };
const costed = cell.extend(costs);
const ofShim = compared.extend({ ...costs, cpuRatio: figure });
const REQUESTS = ["list", "credentials", "container", "token"] as const;
const byRequest = (of: z.ZodType): z.ZodType =>
  z.strictObject({ list: of, credentials: of, container: of, token: of });
const disturbed = cell.extend({ eventsPerSecond: figure });

const ShimResult = z.strictObject({
  bench: z.literal("shim"),
  pods: z.literal(60),
  podsOfNode: z.literal(60),
  rounds: z.literal(1),
  secondsPerLoad: z.literal(0.4),
  node: z.literal(process.version),
  separateCores: z.boolean(),
  bodyBytes: byRequest(z.int().positive()),
  residentMb: z.strictObject({ ready: figure, withCredentials: figure, afterLoad: figure }),
  bare: byRequest(each(costed)),
  shim: byRequest(each(ofShim)),
  whileEvents: z.strictObject({ credentials: disturbed, container: disturbed }),
  goals: goalsOf(13),
});

/** Its lines, the last of which is JSON. */
async function bench(...args: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [main, ...args]);
  return stdout.trimEnd().split("\n");
}

function connectionsOf(lines: readonly string[], name: string): readonly string[] {
  const rows = lines.filter((line) => line.startsWith(`${name} `));
  return rows.flatMap((row) => / {2,}(\d+) /.exec(row)?.[1] ?? []);
}

describe("npm run bench", { skip }, () => {
  it("tells every figure and every goal of the webhook, as a table and as JSON", async () => {
    const lines = await bench("webhook", "--accounts=500", "--seconds=1", "--rounds=1");
    const result = WebhookResult.safeParse(JSON.parse(lines.at(-1) ?? ""));
    assert.equal(result.error, undefined, lines.join("\n"));
    for (const name of ["calibration", "patch", "none", "again"]) {
      assert.deepEqual(connectionsOf(lines, name), ["1", "8", "32"], name);
    }
    assert.equal(lines.filter((line) => /^(met|missed) /.test(line)).length, 10);
  });

  const skipShim = missingTools(process.env, ["unshare", "setpriv", "ip"]) ?? false;
  it("tells the same of the shim", { skip: skipShim }, async () => {
    const lines = await bench("shim", "--pods=60", "--seconds=0.4", "--rounds=1");
    const result = ShimResult.safeParse(JSON.parse(lines.at(-1) ?? ""));
    assert.equal(result.error, undefined, `${result.error?.message}${lines.join("\n")}`);
    for (const name of REQUESTS) {
      assert.deepEqual(connectionsOf(lines, name), ["1", "8", "32"], name);
    }
    assert.equal(lines.filter((line) => /^(met|missed) /.test(line)).length, 13);
  });
});
