import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { shimConfig } from "../../metadata-shim/config.ts";
import { startShim } from "../../metadata-shim/main.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { missingTools } from "../network/missing-tools.ts";
import { churnSeconds } from "../shim/churn-seconds.ts";
import { churn, CHURN_NAMESPACE, judge, type Verdict } from "../shim/churn.ts";
import { createObject } from "../shim/create-object.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";
import { createPodSlot, POD_BRIDGE, type PodNews, type PodSlot } from "../shim/pod-slot.ts";
import { buildTrustedCluster, startTrustedCluster } from "../shim/trusted-cluster.ts";

// Pods come and go at the addresses of a /28, each of which has the next pod at once, and all ask all
// the time: nobody may ever see the credentials of another. Each pod is a network namespace on a
// bridge, its object is in a real API server, and AWS's log tells whose a key is. This file runs itself
// again in a namespace that is the node. A case takes
// 60 s, 10 s with CI=true, or IRSA_CHURN_SECONDS.

const INSIDE = "IRSA_CHURN_INSIDE";
const SECONDS = churnSeconds(process.env, { ci: 10 });
const METADATA_ADDRESS = "169.254.169.254/32";
const GATEWAY = "10.2.0.1";
const PREFIX = 28;
const ADDRESSES = Array.from({ length: 13 }, (_, i) => `10.2.0.${i + 2}`);
const SLOTS = 16;
const WATCH_DELAY_MS = 400;

interface Case {
  readonly title: string;
  readonly flags: readonly string[];
  readonly watchDelayMs: number;
  readonly tellsFirst: boolean;
}

/** By the kernel's word an address may even have its next pod before anyone is told. */
const CASES: readonly Case[] = [
  { title: "by the kernel's word", flags: [], watchDelayMs: 0, tellsFirst: false },
  {
    title: "by the kernel's word, with a watch that is late",
    flags: [],
    watchDelayMs: WATCH_DELAY_MS,
    tellsFirst: false,
  },
  {
    title: "by live reads, with a watch that is late",
    flags: ["--attestation=false"],
    watchDelayMs: WATCH_DELAY_MS,
    tellsFirst: true,
  },
];

interface Outcome extends Verdict {
  readonly title: string;
  readonly lived: number;
}

const run = promisify(execFile);

async function runCases(onOutcome: (outcome: Outcome) => void): Promise<void> {
  await using stack = new AsyncDisposableStack();
  for (const command of [
    `link add ${POD_BRIDGE} type bridge`,
    `address add ${GATEWAY}/${PREFIX} dev ${POD_BRIDGE}`,
    `link set ${POD_BRIDGE} up`,
  ]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await run("ip", command.split(" "));
  }
  let news: PodNews[] = [];
  const served = new Set<string>();
  const onNews = (each: PodNews): void => {
    news.push(each);
    if (each.keyId !== undefined) served.add(each.pod);
  };
  const bridged = { gateway: GATEWAY, prefix: PREFIX, onNews };
  const slots: PodSlot[] = await Promise.all(
    Array.from({ length: SLOTS }, (_, i) => createPodSlot(`slot${i}`, bridged)),
  );
  for (const slot of slots) stack.use(slot);
  const cluster = await startTrustedCluster(stack);
  const { kube, aws, trust, proxy, kubeconfig } = cluster;
  const role = { name: "app", arn: await trust.createRole("app") };
  await createObject(kube, "/api/v1/namespaces", { metadata: { name: CHURN_NAMESPACE } });
  const procFolder = await mkdtemp(join(tmpdir(), "irsa-churn-"));
  stack.defer(() => rm(procFolder, { recursive: true, force: true }));

  for (const { title, flags, watchDelayMs, tellsFirst } of CASES) {
    news = [];
    proxy.watchDelayMs = watchDelayMs;
    const nodeName = `node-${flags.length}-${watchDelayMs}`;
    const args = ["--kubeconfig", kubeconfig, "--node", nodeName, "--app-port=80"];
    args.push("--admin-port=0", `--proc-folder=${procFolder}`, `--host-ip=${GATEWAY}`);
    args.push(`--state-dir=${procFolder}`, `--kubelet-root=${procFolder}`);
    args.push("--sts-calls-per-minute=60000", ...flags);
    const env = {
      AWS_ENDPOINT_URL_STS: aws.sts,
      AWS_CA_BUNDLE: aws.ca,
      AWS_REGION: "eu-west-1",
    };
    const { log } = createCollectedLog();
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await using shim = await startShim(shimConfig.parse(args, {}), { env, log });
    await shim.whenReady;
    const lived = await churn({
      kube,
      nodeName,
      nodeAddress: GATEWAY,
      addresses: ADDRESSES,
      slots,
      procFolder,
      role,
      seconds: SECONDS,
      isServed: (pod) => served.has(pod),
      tellsFirst,
    });
    const subjects = aws
      .calls()
      .map(({ issuedKeyId = "", webIdentity }) => [issuedKeyId, webIdentity?.subject] as const);
    onOutcome({ title, lived: lived.length, ...judge(news, new Map(subjects)) });
  }
}

if (process.env[INSIDE] === "true") {
  await runCases((outcome) => process.stdout.write(`${JSON.stringify(outcome)}\n`));
} else {
  const skip = missingTools(process.env) ?? (await missingComponents(process.env)) ?? false;
  describe("pods that follow each other at the same addresses", { skip, timeout: 900_000 }, () => {
    it("never get the credentials of another", async (t) => {
      await buildTrustedCluster(process.env);
      const outcomes: Outcome[] = [];
      const env = { [INSIDE]: "true", NODE_TEST_CONTEXT: undefined };
      const place = { addresses: [METADATA_ADDRESS] };
      const file = fileURLToPath(import.meta.url);
      const onLine = (line: string): void => void outcomes.push(JSON.parse(line) as Outcome);
      assert.equal(await runInsideNamespace(file, env, onLine, place), 0);
      for (const { title } of CASES) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in their order
        await t.test(title, (test) => {
          const outcome = outcomes.find((each) => each.title === title);
          assert.ok(outcome);
          const { lived, served, answers, wrong, byStatus } = outcome;
          test.diagnostic(
            `${SECONDS} s: ${lived} pods at ${ADDRESSES.length} addresses, ${served} of them got ` +
              `credentials, ${answers} times; of another: ${wrong.length}; ` +
              `answers by status: ${JSON.stringify(byStatus)}`,
          );
          assert.deepEqual(wrong, []);
          // That it was put to the test at all, also on a slow machine.
          assert.ok(lived > ADDRESSES.length, `${lived} pods`);
          assert.ok(served >= lived / 3, `${served} of ${lived}`);
        });
      }
    });
  });
}
