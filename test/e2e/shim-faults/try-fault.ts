import { ask } from "../../fakes/ask.ts";
import type { JumpingClock } from "../../fakes/jumping-clock.ts";
import { until } from "../../fakes/until.ts";
import type { ShimWorld } from "../../shim/shim-world.ts";
import { CREDENTIALS, type Fault } from "./faults.ts";
import { find, findWithAll, SDKS, type BySdk, type Found, type Sdk } from "./sdks.ts";

/** What came of one fault. */
export interface Line {
  readonly fault: string;
  /** Status for a pod that had credentials before, and for one that had none. */
  readonly warm: number;
  readonly warmMs: number;
  readonly cold: number;
  readonly coldMs: number;
  readonly sdks: BySdk<Found>;
  /** How often each was told that there is nothing for it. */
  readonly tries: BySdk<number>;
  /** Of the pod that JavaScript v3 asked for first, after all others. */
  readonly laterSdk: Found;
  /** Of the pod that had credentials before, with the one that waits the least. */
  readonly warmSdk: Found;
  /** Status for the new pod after the fault has ended. */
  readonly after: number;
}

const MINUTE_MS = 60_000;

/** What a pod is answered that asks for its credentials. */
export async function statusAt(world: ShimWorld, from: string): Promise<number> {
  return (await world.read(from, CREDENTIALS)).status;
}

/** Lets a fault begin and end, and pods ask before, meanwhile and afterwards. */
export async function tryFault(
  world: ShimWorld,
  {
    fault,
    begin,
    newPod,
    warmPod,
    clock,
  }: {
    readonly fault: string;
    readonly begin: Fault;
    readonly newPod: () => Promise<string>;
    readonly warmPod: string;
    readonly clock: JumpingClock;
  },
): Promise<Line> {
  const pods = await Promise.all(SDKS.map(newPod));
  const pod = await newPod();
  await until("the shim knows the pods", () => knows(world, [...pods, pod]));
  const end = await begin(world);
  const podOf = (sdk: Sdk): string => pods[SDKS.indexOf(sdk)] ?? "";
  const [warm, warmMs] = await timedStatusAt(world, warmPod);
  const [cold, coldMs] = await timedStatusAt(world, pod);
  const sdks = await findWithAll(world, podOf);
  const tries = {
    "JavaScript v3": refusalsOf(world, podOf("JavaScript v3")),
    "JavaScript v2": refusalsOf(world, podOf("JavaScript v2")),
    boto3: refusalsOf(world, podOf("boto3")),
  };
  const laterSdk = await find(world, "JavaScript v3", podOf("JavaScript v3"));
  const warmSdk = await find(world, "JavaScript v3", warmPod);
  await end();
  // Beyond the pause after a failure.
  clock.jump(MINUTE_MS);
  let after = 0;
  await until("the new pod is answered", async () => {
    after = await statusAt(world, pod);
    return after === 200;
  });
  return { fault, warm, warmMs, cold, coldMs, sdks, tries, laterSdk, warmSdk, after };
}

/** With the time it took, the session token's left out. */
async function timedStatusAt(world: ShimWorld, from: string): Promise<readonly [number, number]> {
  const headers = await world.token(from);
  const startMs = performance.now();
  const { status } = await world.ask({ from, path: CREDENTIALS, headers });
  return [status, performance.now() - startMs];
}

function refusalsOf({ lines }: ShimWorld, from: string): number {
  return lines.filter(
    ({ msg, address, status }) =>
      msg === "Refused a request" && String(address).endsWith(from) && Number(status) >= 403,
  ).length;
}

async function knows(world: ShimWorld, addresses: readonly string[]): Promise<boolean> {
  const place = { host: "127.0.0.1", port: world.shim.adminPort };
  const { body } = await ask({ ...place, path: "/debug/state" });
  return addresses.every((address) => body.includes(`"${address}"`));
}
