import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { sdkEnvironment, speakAs } from "../../shim/sdk-of-pod.ts";
import type { ShimWorld } from "../../shim/shim-world.ts";

/** Where boto3's Python is, for the process inside the namespace. */
export const PYTHON = "IRSA_FAULTS_PYTHON";
export const SDKS = ["JavaScript v3", "JavaScript v2", "boto3"] as const;
export type Sdk = (typeof SDKS)[number];
export type BySdk<T> = Readonly<Record<Sdk, T>>;

/** What an SDK found, and how long it took. */
export type Found = z.infer<typeof Found>;
const Found = z.object({
  keyId: z.string().optional(),
  error: z.string().optional(),
  ms: z.number(),
});

const run = promisify(execFile);
const clientFile = (file: string): string =>
  fileURLToPath(new URL(`../clients/${file}`, import.meta.url));

/** Lets an SDK look for credentials as that pod does: with nothing but the metadata service. */
export async function find(world: ShimWorld, sdk: Sdk, from: string): Promise<Found> {
  const commands: BySdk<readonly string[]> = {
    "JavaScript v3": [process.execPath, clientFile("provider-v3.ts")],
    "JavaScript v2": [process.execPath, clientFile("provider-v2.ts")],
    boto3: [process.env[PYTHON] ?? "python3", clientFile("provider_boto3.py")],
  };
  const [program = "", ...args] = commands[sdk];
  await speakAs(from);
  const env = sdkEnvironment(world.aws.sts);
  return Found.parse(JSON.parse((await run(program, args, { env })).stdout));
}

/** Lets one after the other look: the route is the same for all. */
export async function findWithAll(
  world: ShimWorld,
  fromOf: (sdk: Sdk) => string,
): Promise<BySdk<Found>> {
  return {
    "JavaScript v3": await find(world, "JavaScript v3", fromOf("JavaScript v3")),
    "JavaScript v2": await find(world, "JavaScript v2", fromOf("JavaScript v2")),
    boto3: await find(world, "boto3", fromOf("boto3")),
  };
}

/** In words. */
export function saidOf({ keyId, error, ms }: Found): string {
  return `${keyId === undefined ? (error ?? "nothing") : "a key"} (${ms.toFixed(0)} ms)`;
}
