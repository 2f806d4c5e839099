import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
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
};
const API_FAULTS: Readonly<Record<string, Fault>> = {
  "the API server hangs": ({ api }) => {
    api.hang(true);
    return () => api.hang(false);
  },
  "the API server refuses connections": async ({ api }) => {
    await api.refuse(true);
    return () => api.refuse(false);
  },
};

/** What docs/shim.md says of a fault. Times are asserted three times as long: cores are shared. */
interface Expected {
  readonly warm: number;
  readonly warmMs: number;
  readonly cold: number;
  readonly coldMs?: readonly [least: number, most: number];
  /** SDKs that find credentials while it lasts, and how often the others ask when that is said. */
  readonly finding: readonly Sdk[];
  readonly tries?: Readonly<Record<Sdk, number>>;
  /** Whether JavaScript v3 finds them at its second time. */
  readonly findsLater: boolean;
}
const ONE_TRY = { "JavaScript v3": 1, "JavaScript v2": 1, boto3: 1 };
const AT_ONCE_MS = 100;
const OUTAGE: Expected = {
  warm: 200,
  warmMs: AT_ONCE_MS,
  cold: 503,
  finding: [],
  tries: { ...ONE_TRY, "JavaScript v2": 4 },
  findsLater: false,
};
const API_AWAY: Expected = {
  warm: 200,
  warmMs: 500,
  cold: 503,
  finding: [],
  findsLater: false,
};
const EXPECTED: Readonly<Record<string, Expected>> = {
  "STS cuts connections": OUTAGE,
  "STS throttles": OUTAGE,
  "STS takes 3 s": {
    warm: 200,
    warmMs: AT_ONCE_MS,
    cold: 503,
    coldMs: [700, 800],
    finding: ["JavaScript v2"],
    findsLater: true,
  },
  "STS refuses": { ...OUTAGE, cold: 403, tries: ONE_TRY },
  "the API server hangs": API_AWAY,
  "the API server refuses connections": API_AWAY,
  "the API server hangs, without the kernel's word": { ...API_AWAY, warm: 503, warmMs: 1000 },
  "the API server refuses connections, without the kernel's word": {
    ...API_AWAY,
    warm: 503,
    warmMs: 1000,
  },
};
const SLACK = 3;

/** What came of one fault. */
interface Line {
  readonly fault: string;
  /** Status for a pod that had credentials before, and for one that had none. */
  readonly warm: number;
  readonly warmMs: number;
  readonly cold: number;
  readonly coldMs: number;
  readonly sdks: Readonly<Record<Sdk, Found>>;
  /** How often each was told that there is nothing for it. */
  readonly tries: Readonly<Record<Sdk, number>>;
  /** Of the pod that JavaScript v3 asked for first, after all others. */
  readonly laterSdk: Found;
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
  const podOf = (sdk: Sdk): string => pods[SDKS.indexOf(sdk)] ?? "";
  const [warm, warmMs] = await timedStatusAt(world, warmPod);
  const [cold, coldMs] = await timedStatusAt(world, pod);
  const sdks = await findWithAll(world, async (sdk) => podOf(sdk));
  const tries = Object.fromEntries(
    SDKS.map((sdk) => [sdk, refusalsOf(world, podOf(sdk))]),
  ) as Record<Sdk, number>;
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

function saidOf({ keyId, error, ms }: Found): string {
  return `${keyId === undefined ? (error ?? "nothing") : "a key"} (${ms.toFixed(0)} ms)`;
}
