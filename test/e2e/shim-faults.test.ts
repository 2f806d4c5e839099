import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createJumpingClock } from "../fakes/jumping-clock.ts";
import { missingTools } from "../network/missing-tools.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";
import { startShimWorld } from "../shim/shim-world.ts";
import { ensurePythonEnvironment, hasPython } from "./python-environment.ts";
import { EXPECTED, SLACK } from "./shim-faults/expected.ts";
import { API_FAULTS, FAULTS, ROLE } from "./shim-faults/faults.ts";
import { outage, type Outage } from "./shim-faults/outage.ts";
import { Pods } from "./shim-faults/pods.ts";
import { PYTHON, saidOf, SDKS } from "./shim-faults/sdks.ts";
import { statusAt, tryFault, type Line } from "./shim-faults/try-fault.ts";

// What pods see while AWS or the API server is out of order: those that had credentials before, and
// those that ask for the first time, through each SDK. This file runs itself again in a network
// namespace, where pods have addresses of their own.

const INSIDE = "IRSA_FAULTS_INSIDE";
const PODS = 12;

interface Results {
  readonly lines: readonly Line[];
  readonly outage: Outage;
}

async function runInside(): Promise<Results> {
  const procFolder = await mkdtemp(join(tmpdir(), "irsa-faults-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(procFolder, { recursive: true, force: true }));
  const clock = createJumpingClock();
  const lines: Line[] = [];
  const start = async (isAttested: boolean, faults: typeof FAULTS, suffix: string) => {
    const flags = [`--attestation=${isAttested}`, `--proc-folder=${procFolder}`];
    flags.push("--log-level=info");
    const world = await startShimWorld({ clock, monotonicNow: () => clock.now(), flags });
    const pods = new Pods(world, procFolder, await world.role(ROLE));
    const warmPod = await pods.add();
    assert.equal(await statusAt(world, warmPod), 200);
    for (const [name, begin] of Object.entries(faults)) {
      const newPod = (): Promise<string> => pods.add();
      const fault = `${name}${suffix}`;
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      lines.push(await tryFault(world, { fault, begin, newPod, warmPod, clock }));
    }
    return { world, pods };
  };
  const unattested = await start(false, API_FAULTS, ", without the kernel's word");
  await unattested.world[Symbol.asyncDispose]();
  await rm(procFolder, { recursive: true });
  await mkdir(procFolder);
  const { world, pods } = await start(true, { ...FAULTS, ...API_FAULTS }, "");
  stack.use(world);
  const warmPods = await Promise.all(Array.from({ length: PODS }, () => pods.add()));
  return { lines, outage: await outage(world, clock, warmPods) };
}

if (process.env[INSIDE] === "true") {
  process.stdout.write(`${JSON.stringify(await runInside())}\n`);
} else {
  const skip = missingTools(process.env) ?? false;
  describe("while AWS or the API server is out of order", { skip, timeout: 900_000 }, () => {
    let results: Results;

    before(async () => {
      if (!(await hasPython())) assert.fail("boto3 needs Python with venv");
      const env = {
        [INSIDE]: "true",
        [PYTHON]: await ensurePythonEnvironment(),
        NODE_OPTIONS: "--expose-gc",
        NODE_TEST_CONTEXT: undefined,
        AWS_EC2_METADATA_DISABLED: undefined,
      };
      const told: string[] = [];
      const onLine = (line: string): void => void told.push(line);
      assert.equal(await runInsideNamespace(fileURLToPath(import.meta.url), env, onLine), 0);
      results = JSON.parse(told.at(-1) ?? "") as Results;
    });

    for (const [fault, expected] of Object.entries(EXPECTED)) {
      const title = expected.warm === 200 ? "pods keep what they have" : "nobody is answered";
      it(`${fault}: ${title}, new ones get it afterwards`, (t) => {
        const line = results.lines.find((each) => each.fault === fault);
        assert.ok(line);
        const { warm, warmMs, cold, coldMs, sdks, tries, laterSdk, warmSdk } = line;
        t.diagnostic(
          `had credentials: ${warm} (${warmMs.toFixed(0)} ms), JavaScript v3: ${saidOf(warmSdk)}; ` +
            `had none: ${cold} (${coldMs.toFixed(0)} ms), JavaScript v3 later: ${saidOf(laterSdk)}`,
        );
        for (const sdk of SDKS) {
          t.diagnostic(`had none, ${sdk}: ${saidOf(sdks[sdk])}, told so ${tries[sdk]} times`);
        }
        assert.equal(warm, expected.warm);
        assert.ok(warmMs < SLACK * expected.warmMs, `${warmMs} ms`);
        assert.equal(warmSdk.keyId !== undefined, expected.warm === 200, saidOf(warmSdk));
        assert.equal(cold, expected.cold);
        const [leastMs, mostMs] = expected.coldMs ?? [0, 1000];
        assert.ok(coldMs >= leastMs && coldMs < SLACK * mostMs, `${coldMs} ms`);
        const finding = SDKS.filter((sdk) => sdks[sdk].keyId !== undefined);
        assert.deepEqual(finding, expected.finding);
        if (expected.tries !== undefined) assert.deepEqual(tries, expected.tries);
        assert.equal(laterSdk.keyId !== undefined, expected.findsLater, saidOf(laterSdk));
        assert.equal(line.after, 200);
      });
    }

    it("pods that had credentials have some through ten minutes without STS", (t) => {
      const { warm, later, answers, exchanges, heapGrowthMb, delayP99Ms, ...rest } = results.outage;
      const { shortestLifeSeconds, sdks } = rest;
      t.diagnostic(
        `${answers} answers, shortest life ${shortestLifeSeconds.toFixed(0)} s; ` +
          `${exchanges} calls of STS for ${PODS} pods; the heap grew by ${heapGrowthMb.toFixed(1)} MB; ` +
          `event loop, with the stand-ins in it: p99 ${delayP99Ms.toFixed(1)} ms`,
      );
      for (const sdk of SDKS) assert.ok(sdks[sdk].keyId, saidOf(sdks[sdk]));
      assert.deepEqual([...new Set(warm.flat())], [200]);
      // In the end there is nothing left to give: never the last minute of what there was.
      assert.deepEqual([...new Set(later.at(-1))], [503]);
      assert.ok(later.length > 5 && shortestLifeSeconds > 60, `${later.length}`);
      // The budget of an account: a hundred at once, and 120 a minute.
      assert.ok(exchanges <= 100 + 10 * 120, `${exchanges}`);
      assert.ok(heapGrowthMb < 20, `${heapGrowthMb} MB`);
      assert.ok(delayP99Ms < 250, `${delayP99Ms} ms`);
      assert.equal(rest.statusAfter, 200);
      assert.ok(rest.hasNewKey);
    });
  });
}
