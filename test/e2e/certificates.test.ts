import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { request } from "node:https";
import { once } from "node:events";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { holderOf, LeaseObject } from "../../lib/kube/lease-object.ts";
import { distrusting } from "../../webhook/certificates/ca-bundle-patch.ts";
import { fingerprintOf } from "../../webhook/certificates/certificate-state.ts";
import { parseSecretData } from "../../webhook/certificates/secret-data.ts";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
} from "../../webhook/coverage/webhook-configurations.ts";
import { startTcpBalancer, type TcpBalancer } from "../fakes/tcp-balancer.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { startSupervised, type SupervisedProcess } from "../kubernetes/supervised-process.ts";
import { createWorkspace } from "../kubernetes/workspace.ts";
import { untilWithin } from "../fakes/until.ts";

// The webhook makes its own certificates, with the rights of its documentation and no more, and
// rotates certificate and CA while pods are created in a namespace where a failed call refuses the
// pod. Two replicas are processes behind one address; the one that rotates is killed on the way.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ADMISSION = "/apis/admissionregistration.k8s.io/v1";
const NAME = "pod-identity-webhook";
const until = untilWithin({ limitMs: 60_000, pauseMs: 200 });
const ROTATIONS = 3;
/** A certificate lives a minute but is renewed every 3 s; a CA is replaced every 6 s. */
const LIVES = [
  "--certificate-lifetime=60s",
  "--certificate-renew-before=57s",
  "--ca-lifetime=66s",
  "--ca-overlap=2500ms",
  "--lease-duration=3s",
];

const READ = ["get", "list", "watch"];
const CLUSTER_RULES = [
  { apiGroups: [""], resources: ["serviceaccounts", "namespaces"], verbs: READ },
  {
    apiGroups: ["admissionregistration.k8s.io"],
    resources: ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"],
    resourceNames: ["irsa-anywhere"],
    verbs: ["list", "watch", "patch"],
  },
];
const LEASES = { apiGroups: ["coordination.k8s.io"], resources: ["leases"] };
const SECRETS = { apiGroups: [""], resources: ["secrets"] };
const NAMESPACE_RULES = [
  { ...SECRETS, verbs: ["create"] },
  { ...SECRETS, resourceNames: [NAME], verbs: ["list", "watch", "update"] },
  { ...LEASES, verbs: ["create"] },
  { ...LEASES, resourceNames: [NAME], verbs: ["get", "update"] },
];

interface Replica {
  readonly name: string;
  readonly process: SupervisedProcess;
  readonly port: number;
}

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let plane: ControlPlane;
let kube: KubeConnection;
let balancer: TcpBalancer;
let folder: string;
let kubeconfig: string;
const replicas = new Map<string, Replica>();

before(async () => {
  if (skip !== false) return;
  folder = cleanUp.use(await createWorkspace(process.env["TMPDIR"])).path;
  plane = cleanUp.use(await startControlPlane());
  kube = connect({ kubeconfig: plane.kubeconfig });
  balancer = cleanUp.use(await startTcpBalancer());
  cleanUp.defer(async () => {
    await Promise.all([...replicas.values()].map((replica) => replica.process.stop(5000)));
  });
  await plane.createServiceAccount("eks", "webhook");
  await grant();
  ({ kubeconfig } = await plane.asServiceAccount("eks", "webhook"));
  const clientConfig = { url: `https://127.0.0.1:${balancer.port}/` };
  const options = { name: "irsa-anywhere", clientConfig };
  await post(`${ADMISSION}/mutatingwebhookconfigurations`, mutatingWebhookConfiguration(options));
  await post(
    `${ADMISSION}/validatingwebhookconfigurations`,
    validatingWebhookConfiguration(options),
  );
  await Promise.all([startReplica("one"), startReplica("two")]);
  const labels = { "irsa-anywhere.io/injection": "required" };
  await post("/api/v1/namespaces", { metadata: { name: "covered", labels } });
  await plane.createServiceAccount("covered", "reader", { "eks.amazonaws.com/role-arn": ROLE });
  await untilInForce();
});
after(() => cleanUp.disposeAsync());

describe("own certificates on a real API server", { skip }, () => {
  it("rotate with their CA under load, though a replica is killed, and lose no pod", async (t) => {
    const load = startLoad();
    const trust = createTrustCheck();
    const cas = new Set<string>();
    const certificates = new Set<string>();
    let isKilled = false;
    await until(`${ROTATIONS} rotations`, async () => {
      const { signing, serving } = await storedState();
      cas.add(fingerprintOf(signing.cert));
      certificates.add(fingerprintOf(serving.cert));
      // The API server keeps its connections, and would hardly ever look at a certificate.
      await load.between(() => balancer.refresh());
      await trust.check();
      if (cas.size === 2 && !isKilled) {
        isKilled = true;
        await replaceHolder(load);
      }
      assert.deepEqual(load.failures, []);
      return cas.size > ROTATIONS;
    });
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.ok(isKilled);
    assert.ok(certificates.size > ROTATIONS);
    assert.ok(load.created > 100, `only ${load.created} pods were created`);
    t.diagnostic(`${load.created} pods, ${cas.size} CAs, ${certificates.size} certificates`);
  });

  it("are served by every replica, and the bundles hold no CA that is gone", async () => {
    await until("both serve what is stored", async () => {
      const { serving } = await storedState();
      const served = await Promise.all([...replicas.values()].map(({ port }) => ask(port)));
      return served.every(
        ({ status, fingerprint }) => status === 200 && fingerprint === fingerprintOf(serving.cert),
      );
    });
    const bundle = await storedBundle();
    assert.ok((bundle.match(/BEGIN CERTIFICATE/g) ?? []).length <= 2);
  });

  it("leave no private key in the logs", async () => {
    for (const name of ["one", "two"]) {
      assert.doesNotMatch(await readFile(logFileOf(name), "utf8"), /PRIVATE KEY|LS0tLS1CRUdJTiB/);
    }
  });
});

/** How far an API server or a replica may be behind; less than the overlap of the CAs. */
const LAG_MS = { min: 1000, max: 2000 };

/**
 * Checks that each replica is trusted by the bundle as it is, and as an API server would have it that
 * is a second behind; and that a replica which is a second behind would be trusted as well.
 */
function createTrustCheck(): { check(): Promise<void> } {
  const seen: { readonly atMs: number; readonly serving: string; readonly bundle: string }[] = [];
  let checked = 0;
  return {
    async check() {
      const { serving } = await storedState();
      seen.push({ atMs: performance.now(), serving: serving.cert, bundle: await storedBundle() });
      const nowMs = performance.now();
      const late = seen.findLast(({ atMs }) => nowMs - atMs >= LAG_MS.min);
      if (late !== undefined && nowMs - late.atMs < LAG_MS.max) {
        const caBundle = Buffer.from(seen.at(-1)?.bundle ?? "").toString("base64");
        const webhooks = [{ name: "pods", clientConfig: { caBundle } }];
        const distrust = distrusting({ metadata: { name: "now" }, webhooks }, late.serving);
        assert.deepEqual(distrust, [], "what was served a second ago is not trusted any more");
      }
      for (const { atMs, bundle } of [late, seen.at(-1)].filter((entry) => entry !== undefined)) {
        for (const { name, port } of replicas.values()) {
          try {
            await ask(port, bundle);
            checked += 1;
          } catch (err) {
            const ageMs = performance.now() - atMs;
            // Beyond that this process was too slow to be a judge.
            if (ageMs > LAG_MS.max) continue;
            assert.fail(`${name} after ${checked} checks, ${Math.round(ageMs)} ms: ${String(err)}`);
          }
        }
      }
    },
  };
}

interface Load {
  readonly created: number;
  /** Pods that were refused, or came without the role. */
  readonly failures: readonly string[];
  /** Runs something while no pod is being created. */
  between(work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** Creates pods steadily, one after the other in each of two lanes. */
function startLoad(): Load {
  const failures: string[] = [];
  const busy = new Set<Promise<void>>();
  let created = 0;
  const stopping = new AbortController();
  let gate = Promise.resolve();
  const lanes = ["a", "b"].map(() => runLane());

  async function runLane(): Promise<void> {
    while (!stopping.signal.aborted) {
      await gate;
      const pending = createPod();
      busy.add(pending);
      await pending;
      busy.delete(pending);
      await sleep(60);
    }
  }

  async function createPod(): Promise<void> {
    const answer = await kube.request({
      method: "POST",
      path: "/api/v1/namespaces/covered/pods",
      body: pod(),
      timeoutMs: 30_000,
    });
    created += 1;
    if (answer.status !== 201) failures.push(JSON.stringify(answer.body));
    else if (!hasRole(answer.body)) failures.push("a pod has no role");
  }

  return {
    get created() {
      return created;
    },
    failures,
    async between(work) {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      // A lane that has passed the gate before may be just about to begin.
      do {
        await Promise.all(busy);
        await sleep(10);
      } while (busy.size > 0);
      try {
        await work();
      } finally {
        resolve();
      }
    },
    async stop() {
      stopping.abort();
      await Promise.all(lanes);
    },
  };
}
/**
 * Kills the replica that holds the Lease, which therefore is not given back, and starts it again.
 * Nobody could save a review that the process is just answering, so it dies between two.
 */
async function replaceHolder(load: Load): Promise<void> {
  const { body } = await get(`/apis/coordination.k8s.io/v1/namespaces/eks/leases/${NAME}`);
  const [name = ""] = (holderOf(LeaseObject.parse(body)) ?? "").split("_");
  const holder = replicas.get(name);
  assert.ok(holder, `the Lease is held by ${JSON.stringify(name)}`);
  await load.between(async () => {
    await balancer.remove(holder.port);
    process.kill(holder.process.pid, "SIGKILL");
    await holder.process.wait();
  });
  await startReplica(name);
}

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
    cwd: new URL("../../", import.meta.url).pathname,
    env: { PATH: process.env["PATH"], AWS_EC2_METADATA_DISABLED: "true" },
  });
  let port = 0;
  replicas.set(name, { name, process: program, port });
  await until(`replica ${name} listens`, async () => {
    for (const line of (await linesOf(logFile)).slice(earlier.length)) {
      if (!line.startsWith("{")) continue;
      const { msg, port: found } = JSON.parse(line) as { msg: string; port?: number };
      if (msg === "Listening") port = found ?? 0;
    }
    return port !== 0;
  });
  replicas.set(name, { name, process: program, port });
  await until(`replica ${name} is ready`, async () => (await ask(port)).status === 200);
  balancer.add(port);
}

function logFileOf(name: string): string {
  return join(folder, `${name}.log`);
}

async function linesOf(file: string): Promise<readonly string[]> {
  const text = await readFile(file, "utf8").catch(() => "");
  return text.split("\n").slice(0, -1);
}

/**
 * Whether a replica is ready, and which certificate it presents.
 *
 * @param ca What to believe it by; without that, it is only looked at, as kubelet's probes do.
 */
async function ask(port: number, ca?: string): Promise<{ status: number; fingerprint: string }> {
  const options = { host: "127.0.0.1", port, path: "/readyz", agent: false };
  const asked = request({
    ...options,
    ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
  });
  const [response] = await once(asked.end(), "response");
  const { raw } = (response.socket as TLSSocket).getPeerCertificate();
  response.resume();
  const pem = `-----BEGIN CERTIFICATE-----\n${raw.toString("base64")}\n-----END CERTIFICATE-----\n`;
  return { status: response.statusCode, fingerprint: fingerprintOf(pem) };
}

async function storedState(): Promise<ReturnType<typeof parseSecretData>> {
  const { body } = await get(`/api/v1/namespaces/eks/secrets/${NAME}`);
  return parseSecretData((body as { data: Record<string, string> }).data);
}

/** The CAs by which pods are reviewed; those of all webhooks are the same. */
async function storedBundle(): Promise<string> {
  const { body } = await get(`${ADMISSION}/mutatingwebhookconfigurations/irsa-anywhere`);
  const { webhooks } = body as { webhooks: readonly { clientConfig: { caBundle: string } }[] };
  const bundles = new Set(webhooks.map(({ clientConfig }) => clientConfig.caBundle));
  assert.equal(bundles.size, 1);
  return Buffer.from([...bundles][0] ?? "", "base64").toString("utf8");
}

async function grant(): Promise<void> {
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const apiGroup = "rbac.authorization.k8s.io";
  const subjects = [{ kind: "ServiceAccount", namespace: "eks", name: "webhook" }];
  const metadata = { name: "webhook" };
  await post(`${rbac}/clusterroles`, { metadata, rules: CLUSTER_RULES });
  await post(`${rbac}/clusterrolebindings`, {
    metadata,
    subjects,
    roleRef: { apiGroup, kind: "ClusterRole", name: "webhook" },
  });
  await post(`${rbac}/namespaces/eks/roles`, { metadata, rules: NAMESPACE_RULES });
  await post(`${rbac}/namespaces/eks/rolebindings`, {
    metadata,
    subjects,
    roleRef: { apiGroup, kind: "Role", name: "webhook" },
  });
}

function pod(): object {
  return {
    metadata: { generateName: "pod-" },
    spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }] },
  };
}

function hasRole(body: unknown): boolean {
  const { spec } = body as {
    spec: { containers: readonly { env?: readonly { name: string; value?: string }[] }[] };
  };
  return spec.containers.every(({ env = [] }) =>
    env.some(({ name, value }) => name === "AWS_ROLE_ARN" && value === ROLE),
  );
}

/** A new webhook configuration takes a moment until it is in force. */
async function untilInForce(): Promise<void> {
  await until("the webhook is in force", async () => {
    const answer = await kube.request({
      method: "POST",
      path: "/api/v1/namespaces/covered/pods?dryRun=All",
      body: pod(),
      timeoutMs: 10_000,
    });
    return answer.status === 201 && hasRole(answer.body);
  });
}

async function get(path: string): Promise<{ body: unknown }> {
  const answer = await kube.request({ path, timeoutMs: 10_000 });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer;
}

async function post(path: string, object: object): Promise<void> {
  const answer = await kube.request({ method: "POST", path, body: object, timeoutMs: 10_000 });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
}
