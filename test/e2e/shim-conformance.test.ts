import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
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
// address is the shim's, and pods have addresses of their own: once for each way by which a shim
// knows whose a connection is.

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

/** What a shim can go by. The first is its default. */
const WAYS = ["the kernel's word", "live reads of the API server"] as const;

const inside = process.env[INSIDE];
if (inside !== undefined) {
  await using world = await startShimWorld({ isAttested: inside === WAYS[0] });
  await preparePods(world);
  await checkRows(world, rows, (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`);
  });
} else {
  const skip = missingTools(process.env) ?? false;
  const options = { skip, timeout: 900_000, concurrency: WAYS.length };
  describe("the metadata service conforms", options, () => {
    let python = "";
    // Those of the network's rules know of no pods, and so of no way.
    let networkRows: readonly RowResult[] = [];
    before(async () => {
      if (await hasPython()) python = await ensurePythonEnvironment();
      else if (process.env["CI"] === "true") assert.fail("boto3 needs Python with venv");
      networkRows = await checkNetworkRuleRows();
    });

    for (const way of WAYS) {
      it(`in each of a hundred rows, by ${way}`, async (t) => {
        const results: RowResult[] = [...networkRows];
        const file = fileURLToPath(import.meta.url);
        const env = {
          [INSIDE]: way,
          [PYTHON]: python,
          NODE_TEST_CONTEXT: undefined,
          AWS_EC2_METADATA_DISABLED: undefined,
        };
        const code = await runInsideNamespace(file, env, (line) => {
          results.push(JSON.parse(line) as RowResult);
        });
        t.diagnostic(`\nBy ${way}:\n${rowTable(results)}`);
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
    }
  });
}
