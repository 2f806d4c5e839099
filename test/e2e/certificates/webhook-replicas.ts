import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { connect, type KubeConnection } from "../../../lib/kube/connection.ts";
import { holderOf, LeaseObject } from "../../../lib/kube/lease-object.ts";
import { parseSecretData } from "../../../webhook/certificates/secret-data.ts";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
} from "../../../webhook/coverage/webhook-configurations.ts";
import { startTcpBalancer, type TcpBalancer } from "../../fakes/tcp-balancer.ts";
import { untilWithin } from "../../fakes/until.ts";
import { startControlPlane } from "../../kubernetes/control-plane.ts";
import { startSupervised, type SupervisedProcess } from "../../kubernetes/supervised-process.ts";
import { createWorkspace } from "../../kubernetes/workspace.ts";
import { askReplica } from "./ask-replica.ts";
import { ROLE } from "./pod-load.ts";
import { grantRights, WEBHOOK_NAME } from "./rights.ts";

const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const until = untilWithin({ limitMs: 60_000, pauseMs: 200 });
/** A certificate lives a minute but is renewed every 3 s; a CA is replaced every 6 s. */
const LIVES = [
  "--certificate-lifetime=60s",
  "--certificate-renew-before=57s",
  "--ca-lifetime=66s",
  "--ca-overlap=2500ms",
  "--lease-duration=3s",
];

const Listening = z.looseObject({ msg: z.string().optional(), port: z.int().optional() });
const Secret = z.looseObject({ data: z.record(z.string(), z.string()) });
const Configuration = z.looseObject({
  webhooks: z.array(z.looseObject({ clientConfig: z.looseObject({ caBundle: z.string() }) })),
});

interface Replica {
  readonly name: string;
  readonly process: SupervisedProcess;
  readonly port: number;
}

/** Replicas of the webhook, with the rights of its documentation and no more, behind one address. */
export interface WebhookReplicas {
  readonly kube: KubeConnection;
  readonly balancer: TcpBalancer;
  readonly running: ReadonlyMap<string, Replica>;
  /**
   * Kills the replica that holds the Lease, which therefore is not given back, and starts it again.
   *
   * @param between Runs what it is given while no review is under way, which nobody could save.
   */
  replaceHolder(between: (work: () => Promise<void>) => Promise<void>): Promise<void>;
  /** The certificates as they are stored. */
  storedState(): Promise<ReturnType<typeof parseSecretData>>;
  /** The CAs by which pods are reviewed; those of all webhooks are the same. */
  storedBundle(): Promise<string>;
  /** What a replica has written so far. */
  logOf(name: string): Promise<string>;
}

/**
 * Starts two, `one` and `two`, and a namespace `covered` where a failed review refuses the pod.
 * Whatever it starts is on `stack`.
 */
export async function startWebhookReplicas(stack: AsyncDisposableStack): Promise<WebhookReplicas> {
  const folder = stack.use(await createWorkspace(process.env["TMPDIR"])).path;
  const plane = stack.use(await startControlPlane());
  const kube = connect({ kubeconfig: plane.kubeconfig });
  const balancer = stack.use(await startTcpBalancer());
  const running = new Map<string, Replica>();
  stack.defer(async () => {
    await Promise.all([...running.values()].map((replica) => replica.process.stop(5000)));
  });
  await plane.createServiceAccount("eks", "webhook");
  await grantRights(create);
  const { kubeconfig } = await plane.asServiceAccount("eks", "webhook");
  const clientConfig = { url: `https://127.0.0.1:${balancer.port}/` };
  const options = { name: "irsa-anywhere", clientConfig };
  await create(`${ADMISSION}/mutatingwebhookconfigurations`, mutatingWebhookConfiguration(options));
  await create(
    `${ADMISSION}/validatingwebhookconfigurations`,
    validatingWebhookConfiguration(options),
  );
  await Promise.all([startReplica("one"), startReplica("two")]);
  const labels = { "irsa-anywhere.io/injection": "required" };
  await create("/api/v1/namespaces", { metadata: { name: "covered", labels } });
  await plane.createServiceAccount("covered", "reader", { "eks.amazonaws.com/role-arn": ROLE });
  return {
    kube,
    balancer,
    running,
    async replaceHolder(between) {
      const lease = await get(`/apis/coordination.k8s.io/v1/namespaces/eks/leases/${WEBHOOK_NAME}`);
      const [name = ""] = (holderOf(LeaseObject.parse(lease)) ?? "").split("_");
      const holder = running.get(name);
      assert.ok(holder, `the Lease is held by ${JSON.stringify(name)}`);
      await between(async () => {
        await balancer.remove(holder.port);
        process.kill(holder.process.pid, "SIGKILL");
        await holder.process.wait();
      });
      await startReplica(name);
    },
    async storedState() {
      return parseSecretData(
        Secret.parse(await get(`/api/v1/namespaces/eks/secrets/${WEBHOOK_NAME}`)).data,
      );
    },
    async storedBundle() {
      const path = `${ADMISSION}/mutatingwebhookconfigurations/irsa-anywhere`;
      const { webhooks } = Configuration.parse(await get(path));
      const bundles = new Set(webhooks.map((webhook) => webhook.clientConfig.caBundle));
      assert.equal(bundles.size, 1);
      return Buffer.from([...bundles][0] ?? "", "base64").toString("utf8");
    },
    logOf: (name) => readFile(logFileOf(name), "utf8"),
  };

  async function startReplica(name: string): Promise<void> {
    const logFile = logFileOf(name);
    const earlier = await linesOf(logFile);
    const program = await startSupervised({
      name,
      command: [
        process.execPath,
        "cli/main.ts",
        "webhook",
        `--kubeconfig=${kubeconfig}`,
        "--host=127.0.0.1",
        "--port=0",
        "--metrics-port=0",
        "--tls-san=127.0.0.1",
        "--drain-seconds=1",
        `--replica-name=${name}`,
        ...LIVES,
      ],
      logFile,
      cwd: new URL("../../../", import.meta.url).pathname,
      env: { PATH: process.env["PATH"], AWS_EC2_METADATA_DISABLED: "true" },
    });
    let port = 0;
    running.set(name, { name, process: program, port });
    await until(`replica ${name} listens`, async () => {
      for (const line of (await linesOf(logFile)).slice(earlier.length)) {
        if (!line.startsWith("{")) continue;
        const { msg, port: found } = Listening.parse(JSON.parse(line));
        if (msg === "Listening") port = found ?? 0;
      }
      return port !== 0;
    });
    running.set(name, { name, process: program, port });
    await until(`replica ${name} is ready`, async () => (await askReplica(port)).status === 200);
    balancer.add(port);
  }

  function logFileOf(name: string): string {
    return join(folder, `${name}.log`);
  }

  async function get(path: string): Promise<unknown> {
    const answer = await kube.request({ path, timeoutMs: 10_000 });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    return answer.body;
  }

  async function create(path: string, body: object): Promise<void> {
    const answer = await kube.request({ method: "POST", path, body, timeoutMs: 10_000 });
    assert.equal(answer.status, 201, JSON.stringify(answer.body));
  }
}

async function linesOf(file: string): Promise<readonly string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}
