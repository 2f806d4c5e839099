import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { PROFILES } from "../../metadata-shim/role/profile.ts";
import { missingTools } from "../network/missing-tools.ts";
import { compatibilityCallerRows } from "../shim/compatibility/caller-rows.ts";
import {
  compatibilityTable,
  expectedIn,
  seeRows,
  type CompatibilityResult,
  type CompatibilityRow,
} from "../shim/compatibility/compatibility-row.ts";
import { compatibilityCredentialRows } from "../shim/compatibility/credential-rows.ts";
import { namespaceCaseRows } from "../shim/compatibility/namespace-case-rows.ts";
import { namespaceRows } from "../shim/compatibility/namespace-rows.ts";
import { prepareRoles, startProfileStage } from "../shim/compatibility/profile-stage.ts";
import { protocolRows } from "../shim/compatibility/protocol-rows.ts";
import { RESTART_ROW, seeRestarts } from "../shim/compatibility/restart-row.ts";
import { roleRows } from "../shim/compatibility/role-rows.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";

// The rows C01 to C42 of what kube2iam and kiam do, each in each profile, on real sockets against a
// whole shim. This file runs itself again in a network namespace for each profile.

const INSIDE = "IRSA_COMPATIBILITY_INSIDE";

const Result = z.object({ id: z.string(), profile: z.enum(PROFILES), seen: z.string() });

const rows: readonly CompatibilityRow[] = [
  ...roleRows,
  ...compatibilityCallerRows,
  ...namespaceCaseRows,
  ...namespaceRows,
  ...compatibilityCredentialRows,
  ...protocolRows,
].toSorted((a, b) => a.id.localeCompare(b.id));

const inside = z.enum(PROFILES).safeParse(process.env[INSIDE]).data;
if (inside !== undefined) {
  await using stage = await startProfileStage(inside);
  await prepareRoles(stage.world);
  await seeRows(stage, rows, (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`);
  });
} else {
  const skip = missingTools(process.env) ?? false;
  describe("each profile does what its program did", { skip, timeout: 900_000 }, () => {
    it("in each of 42 rows", async (t) => {
      const file = fileURLToPath(import.meta.url);
      const results: CompatibilityResult[] = [];
      const codes = PROFILES.map((profile) =>
        runInsideNamespace(file, { [INSIDE]: profile, NODE_TEST_CONTEXT: undefined }, (line) => {
          results.push(Result.parse(JSON.parse(line)));
        }),
      );
      const [restarts] = await Promise.all([seeRestarts(), ...codes]);
      results.push(...restarts);
      const all = [...rows, { ...RESTART_ROW, see: () => Promise.resolve("") }];
      t.diagnostic(`\n${compatibilityTable(all, results)}`);
      for (const row of all) {
        for (const profile of PROFILES) {
          // oxlint-disable-next-line eslint/no-await-in-loop -- in their order
          await t.test(`${row.id}, ${profile}: ${row.title}`, () => {
            const shown = results.filter(
              (result) => result.id === row.id && result.profile === profile,
            );
            const expected = [expectedIn(row, profile)];
            assert.deepEqual(
              shown.map(({ seen }) => seen),
              expected,
            );
          });
        }
      }
      assert.deepEqual(
        all.map(({ id }) => id),
        Array.from({ length: 42 }, (_, i) => `C${String(i + 1).padStart(2, "0")}`),
      );
    });
  });
}
