import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { missingTools } from "../network/missing-tools.ts";
import { checkRows, rowTable, type RowResult } from "../shim/conformance-row.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";
import { callerRows } from "../shim/rows/caller-rows.ts";
import { credentialLifeRows } from "../shim/rows/credential-life-rows.ts";
import { credentialRows } from "../shim/rows/credential-rows.ts";
import { checkNetworkRuleRows } from "../shim/rows/network-rule-rows.ts";
import { pathRows } from "../shim/rows/path-rows.ts";
import { preparePods } from "../shim/rows/pods.ts";
import { processRows } from "../shim/rows/process-rows.ts";
import { PYTHON, sdkRows } from "../shim/rows/sdk-rows.ts";
import { sessionTokenRows } from "../shim/rows/session-token-rows.ts";
import { tokenOnReadRows } from "../shim/rows/token-on-read-rows.ts";
import { startShimWorld } from "../shim/shim-world.ts";
import { ensurePythonEnvironment, hasPython } from "./python-environment.ts";

// A hundred rows of what the metadata service answers to whom, each checked on a real socket against
// a whole shim. This file runs itself again in a network namespace, where the metadata service's own
// address is the shim's, and pods have addresses of their own.

const INSIDE = "IRSA_CONFORMANCE_INSIDE";

const rows = [
  ...sessionTokenRows,
  ...tokenOnReadRows,
  ...pathRows,
  ...credentialRows,
  ...credentialLifeRows,
  ...callerRows,
  ...processRows,
  ...sdkRows,
].toSorted((a, b) => a.number - b.number);

if (process.env[INSIDE] === "true") {
  await using world = await startShimWorld();
  await preparePods(world);
  await checkRows(world, rows, (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`);
  });
} else {
  const skip = missingTools(process.env) ?? false;
  describe("the metadata service conforms", { skip, timeout: 900_000 }, () => {
    it("in each of a hundred rows", async (t) => {
      const python = (await hasPython()) ? await ensurePythonEnvironment() : "";
      if (python === "" && process.env["CI"] === "true")
        assert.fail("boto3 needs Python with venv");
      const results: RowResult[] = [];
      const file = fileURLToPath(import.meta.url);
      const env = {
        [INSIDE]: "true",
        [PYTHON]: python,
        NODE_TEST_CONTEXT: undefined,
        AWS_EC2_METADATA_DISABLED: undefined,
      };
      const code = await runInsideNamespace(file, env, (line) => {
        results.push(JSON.parse(line) as RowResult);
      });
      results.push(...(await checkNetworkRuleRows()));
      t.diagnostic(`\n${rowTable(results)}`);
      for (const { number, title, problem } of results.toSorted((a, b) => a.number - b.number)) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in their order
        await t.test(`${number}. ${title}`, () => assert.equal(problem, undefined, problem));
      }
      assert.equal(code, 0);
      assert.deepEqual(
        results.map(({ number }) => number).toSorted((a, b) => a - b),
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
    });
  });
}
