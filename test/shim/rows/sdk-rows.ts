import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { sdkEnvironment, speakAs } from "../sdk-of-pod.ts";
import { A, V1 } from "./pods.ts";

export const sdkRows: ConformanceRow[] = [];
const row = rowsInto(sdkRows);

const Identity = z.object({ arn: z.string() });

/** Variable with the path of a Python that has boto3; empty where there is none. */
export const PYTHON = "IRSA_CONFORMANCE_PYTHON";

function clientFile(file: string): string {
  return fileURLToPath(new URL(`../../e2e/clients/${file}`, import.meta.url));
}

const python = process.env[PYTHON] ?? "";
const SDKS = `AWS SDKs for JavaScript v2 and v3${python === "" ? ", WITHOUT boto3 (no Python here)" : ", boto3"}`;

row(100, `${SDKS}: before and after a restart, which gets new keys`, async (world) => {
  const clients = [
    [process.execPath, clientFile("sdk-v3.ts")],
    [process.execPath, clientFile("sdk-v2.ts")],
    ...(python === "" ? [] : [[python, clientFile("boto3_client.py")]]),
  ];
  const env = {
    ...sdkEnvironment(world.aws.sts),
    AWS_CA_BUNDLE: world.aws.ca,
    NODE_EXTRA_CA_CERTS: world.aws.ca,
  };
  const tryAll = async (session: string): Promise<void> => {
    for (const [program = "", ...args] of clients) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const { stdout } = await promisify(execFile)(program, args, { env });
      const { arn } = Identity.parse(JSON.parse(stdout));
      assert.equal(arn, `arn:aws:sts::111122223333:assumed-role/app-role/${session}`);
    }
  };
  for (const [from, session] of [
    [A, "ns.app"],
    [V1, "ns.legacy"],
  ] as const) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await speakAs(from);
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await tryAll(session);
    const before = world.exchangesOf("app");
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await world.restart();
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await tryAll(session);
    assert.equal(world.exchangesOf("app"), before + 1);
  }
});
