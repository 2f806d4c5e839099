import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { UpdateAssumeRolePolicyCommand } from "@aws-sdk/client-iam";
import { iamClient } from "../aws/fixtures/sdk-clients.ts";
import { ask } from "../fakes/ask.ts";
import { createJumpingClock, type JumpingClock } from "../fakes/jumping-clock.ts";
import { until } from "../fakes/until.ts";
import { missingTools } from "../network/missing-tools.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";
import {
  METADATA_IPV4,
  REGION,
  ROLE_LIST,
  startShimWorld,
  type ShimWorld,
} from "../shim/shim-world.ts";
import { showProcess } from "../shim/shown-process.ts";
import { ensurePythonEnvironment, hasPython } from "./python-environment.ts";

// What pods see while AWS or the API server is out of order: those that had credentials before, and
// those that ask for the first time, through each SDK. This file runs itself again in a network
// namespace, where pods have addresses of their own.

const INSIDE = "IRSA_FAULTS_INSIDE";
const PYTHON = "IRSA_FAULTS_PYTHON";

const MINUTE_MS = 60_000;
const ALWAYS = 1_000_000;
const PODS = 12;
const READS_A_MINUTE = 4;
const ROLE = "app-role";
const CREDENTIALS = `${ROLE_LIST}/${ROLE}`;
const SDKS = ["JavaScript v3", "JavaScript v2", "boto3"] as const;
type Sdk = (typeof SDKS)[number];

/** What an SDK found, and how long it took. */
interface Found {
  readonly keyId?: string;
  readonly error?: string;
  readonly ms: number;
}

/** How a fault begins; what it gives back ends it. */
type Fault = (world: ShimWorld) => (() => void) | Promise<() => Promise<unknown>>;

const sts =
  (faults: object): Fault =>
  ({ aws }) => {
    aws.set({ faults: { actions: ["AssumeRoleWithWebIdentity"], ...faults } });
    return () => aws.set({ faults: {} });
  };
const FAULTS: Readonly<Record<string, Fault>> = {
  "STS cuts connections": sts({ droppedConnections: ALWAYS }),
  "STS throttles": sts({ throttles: ALWAYS }),
  "STS takes 3 s": sts({ latencyMs: 3000 }),
  "STS refuses": async ({ aws, cluster: { providerArn } }) => {
    const setTrust = (Condition: object): Promise<unknown> => {
      const Principal = { Federated: providerArn };
      const Action = "sts:AssumeRoleWithWebIdentity";
      const Statement = [{ Effect: "Allow", Principal, Action, Condition }];
      const PolicyDocument = JSON.stringify({ Version: "2012-10-17", Statement });
      const change = { RoleName: ROLE, PolicyDocument };
      return iamClient(aws).send(new UpdateAssumeRolePolicyCommand(change));
    };
    await setTrust({ StringEquals: { "aws:RequestedRegion": "nowhere" } });
    return () => setTrust({});
  },
  "the API server hangs": ({ api }) => {
    api.hang(true);
    return () => api.hang(false);
  },
};
/** What came of one fault. */
interface Line {
  readonly fault: string;
  /** Status for a pod that had credentials before, and for one that had none. */
  readonly warm: number;
  readonly cold: number;
  readonly sdks: Readonly<Record<Sdk, Found>>;
  /** Of the pod that had credentials before, with the one that waits the least. */
  readonly warmSdk: Found;
  /** Status for the new pod after the fault has ended. */
  readonly after: number;
}

interface Outage {
  /** Statuses of all answers to pods that had credentials, some a minute for ten minutes. */
  readonly warm: readonly (readonly number[])[];
  /** The same minute by minute, until there are none any more. */
  readonly later: readonly (readonly number[])[];
  readonly shortestLifeSeconds: number;
  readonly answers: number;
  readonly exchanges: number;
  readonly heapGrowthMb: number;
  readonly delayP99Ms: number;
  /** SDKs of a pod that had credentials before, ten minutes into it. */
  readonly sdks: Readonly<Record<Sdk, Found>>;
  readonly statusAfter: number;
  readonly hasNewKey: boolean;
}

const run = promisify(execFile);
const clientFile = (file: string): string =>
  fileURLToPath(new URL(`clients/${file}`, import.meta.url));

/** The pods of the world, each with an address, a ServiceAccount and a process of its own. */
class Pods {
  readonly #world: ShimWorld;
  readonly #procFolder: string;
  readonly #role: string;
  #count = 0;

  constructor(world: ShimWorld, procFolder: string, role: string) {
    this.#world = world;
    this.#procFolder = procFolder;
    this.#role = role;
  }

  /** @returns its address. */
  async add(role = this.#role): Promise<string> {
    this.#count += 1;
    const name = `pod-${this.#count}`;
    const address = `10.1.0.${this.#count + 1}`;
    const uid = randomUUID();
    // All pods of this test are in one network namespace.
    await showProcess(this.#procFolder, this.#count, { podUid: uid, net: "/proc/self/net" });
    this.#world.serviceAccount(name, role);
    this.#world.pod(name, address, { uid });
    return address;
  }
}

/** Lets an SDK look for credentials as that pod does: with nothing but the metadata service. */
async function find(world: ShimWorld, sdk: Sdk, from: string): Promise<Found> {
  const commands: Readonly<Record<Sdk, readonly string[]>> = {
    "JavaScript v3": [process.execPath, clientFile("provider-v3.ts")],
    "JavaScript v2": [process.execPath, clientFile("provider-v2.ts")],
    boto3: [process.env[PYTHON] ?? "python3", clientFile("provider_boto3.py")],
  };
  const [program = "", ...args] = commands[sdk];
  const route = `route replace table local local ${METADATA_IPV4} dev lo src ${from}`;
  await run("ip", route.split(" "));
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: "/nonexistent",
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_ENDPOINT_URL_STS: world.aws.sts,
  };
  return JSON.parse((await run(program, args, { env })).stdout) as Found;
}

async function findWithAll(
  world: ShimWorld,
  fromOf: (sdk: Sdk) => Promise<string>,
): Promise<Readonly<Record<Sdk, Found>>> {
  const found = new Map<Sdk, Found>();
  for (const sdk of SDKS) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- the route is the same for all
    found.set(sdk, await find(world, sdk, await fromOf(sdk)));
  }
  return Object.fromEntries(found) as Record<Sdk, Found>;
}

async function statusAt(world: ShimWorld, from: string): Promise<number> {
  return (await world.read(from, CREDENTIALS)).status;
}

async function tryFault(
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
  const warm = await statusAt(world, warmPod);
  const cold = await statusAt(world, pod);
  const sdks = await findWithAll(world, async (sdk) => pods[SDKS.indexOf(sdk)] ?? "");
  const warmSdk = await find(world, "JavaScript v3", warmPod);
  await end();
  // Beyond the pause after a failure.
  clock.jump(MINUTE_MS);
  let after = 0;
  await until("the new pod is answered", async () => {
    after = await statusAt(world, pod);
    return after === 200;
  });
  return { fault, warm, cold, sdks, warmSdk, after };
}

async function knows(world: ShimWorld, addresses: readonly string[]): Promise<boolean> {
  const place = { host: "127.0.0.1", port: world.shim.adminPort };
  const { body } = await ask({ ...place, path: "/debug/state" });
  return addresses.every((address) => body.includes(`"${address}"`));
}

/** Ten minutes without STS, half an hour after the pods got their credentials. */
async function outage(
  world: ShimWorld,
  clock: JumpingClock,
  pods: readonly string[],
): Promise<Outage> {
  const keys = new Set<string>();
  const sessions = await Promise.all(pods.map((pod) => world.token(pod)));
  let shortestLifeSeconds = Infinity;
  let answers = 0;
  const readAll = async (): Promise<readonly number[]> => {
    const replies = await Promise.all(
      pods.map((from, i) => world.ask({ from, path: CREDENTIALS, headers: sessions[i] })),
    );
    answers += replies.length;
    for (const { status, body } of replies) {
      if (status !== 200) continue;
      const { AccessKeyId, Expiration } = JSON.parse(body) as Record<string, string>;
      keys.add(AccessKeyId ?? "");
      const lifeSeconds = (Date.parse(Expiration ?? "") - clock.now()) / 1000;
      shortestLifeSeconds = Math.min(shortestLifeSeconds, lifeSeconds);
    }
    return replies.map(({ status }) => status);
  };
  await until("all have some", async () => (await readAll()).every((status) => status === 200));
  // Before anything is renewed.
  clock.jump(20 * MINUTE_MS);
  const end = await sts({ droppedConnections: ALWAYS })(world);
  const exchangesBefore = exchangesOf(world);
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const warm: (readonly number[])[] = [];
  for (let minute = 0; minute < 10; minute += 1) {
    for (let time = 0; time < READS_A_MINUTE; time += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
      warm.push(await readAll());
      clock.jump(MINUTE_MS / READS_A_MINUTE);
    }
  }
  delay.disable();
  globalThis.gc?.();
  const heapGrowthMb = (process.memoryUsage().heapUsed - heapBefore) / 1e6;
  const exchanges = exchangesOf(world) - exchangesBefore;
  const sdks = await findWithAll(world, async () => pods[0] ?? "");
  const { length } = warm;
  // Until the last of what they have has ended.
  for (let minute = 0; warm.at(-1)?.includes(200) === true && minute < 60; minute += 1) {
    clock.jump(MINUTE_MS);
    // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
    warm.push(await readAll());
  }
  const old = new Set(keys);
  await end();
  clock.jump(MINUTE_MS);
  let statusAfter = 0;
  await until("new credentials are there", async () => {
    const statuses = await readAll();
    statusAfter = statuses[0] ?? 0;
    clock.jump(1000);
    return keys.size >= old.size + pods.length;
  });
  return {
    warm: warm.slice(0, length),
    later: warm.slice(length),
    shortestLifeSeconds,
    answers,
    exchanges,
    heapGrowthMb,
    delayP99Ms: delay.percentile(99) / 1e6,
    sdks,
    statusAfter,
    hasNewKey: keys.size >= old.size + pods.length,
  };
}

function exchangesOf({ aws }: ShimWorld): number {
  return aws.calls().filter(({ action }) => action === "AssumeRoleWithWebIdentity").length;
}

interface Results {
  readonly lines: readonly Line[];
  readonly outage: Outage;
}

async function runInside(): Promise<Results> {
  const procFolder = await mkdtemp(join(tmpdir(), "irsa-faults-"));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(procFolder, { recursive: true, force: true }));
  const clock = createJumpingClock();
  const flags = ["--attestation=true", `--proc-folder=${procFolder}`, "--log-level=info"];
  const world = stack.use(await startShimWorld({ clock, monotonicNow: () => clock.now(), flags }));
  const pods = new Pods(world, procFolder, await world.role(ROLE));
  const warmPod = await pods.add();
  assert.equal(await statusAt(world, warmPod), 200);
  const lines: Line[] = [];
  for (const [fault, begin] of Object.entries(FAULTS)) {
    const newPod = (): Promise<string> => pods.add();
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    lines.push(await tryFault(world, { fault, begin, newPod, warmPod, clock }));
  }
  const warmPods = await Promise.all(Array.from({ length: PODS }, () => pods.add()));
  return { lines, outage: await outage(world, clock, warmPods) };
}

const COLD_STATUS: Readonly<Record<string, number>> = { "STS refuses": 403 };

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

    for (const fault of Object.keys(FAULTS)) {
      it(`${fault}: pods keep what they have, new ones get it afterwards`, (t) => {
        const line = results.lines.find((each) => each.fault === fault);
        assert.ok(line);
        t.diagnostic(`had credentials: ${saidOf(line.warmSdk)}`);
        for (const sdk of SDKS) t.diagnostic(`had none, ${sdk}: ${saidOf(line.sdks[sdk])}`);
        assert.ok(line.warmSdk.keyId, saidOf(line.warmSdk));
        assert.equal(line.warm, 200);
        assert.equal(line.cold, COLD_STATUS[fault] ?? 503);
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
      assert.equal(rest.statusAfter, 200);
      assert.ok(rest.hasNewKey);
    });
  });
}

function saidOf({ keyId, error, ms }: Found): string {
  return `${keyId === undefined ? (error ?? "nothing") : "a key"} (${ms.toFixed(0)} ms)`;
}
