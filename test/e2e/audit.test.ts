import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Registry } from "prom-client";
import { prepareStage, type Stage } from "../../cli/demo/stage.ts";
import { connect, type KubeAnswer, type KubeConnection } from "../../lib/kube/connection.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook, type RunningWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { untilWithin } from "../fakes/until.ts";

// The webhook is down while pods are created, and comes back: on a real API server, with the real
// controllers that replace pods and count disruptions. There is no kubelet, so pods never start by
// themselves.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const NAMESPACE = "team";
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const until = untilWithin({ limitMs: 60_000, pauseMs: 100 });

interface Webhook extends AsyncDisposable {
  readonly running: RunningWebhook;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  metric(text: string): Promise<string | undefined>;
}
interface StoredPod {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
  readonly spec: {
    readonly containers: readonly { readonly env?: readonly { readonly name: string }[] }[];
  };
}
interface StoredEvent {
  readonly involvedObject: { readonly kind: string; readonly name: string };
  readonly reason: string;
  readonly message: string;
  readonly type: string;
  readonly count: number;
}

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let plane: ControlPlane;
let stage: Stage;
let kube: KubeConnection;
let webhookKubeconfig = "";
let port = 0;

before(async () => {
  if (skip !== false) return;
  stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(await startControlPlane({ controllerManager: true }));
  kube = connect({ kubeconfig: plane.kubeconfig });
  await post("/api/v1/namespaces", { metadata: { name: "irsa-system" } });
  const labels = { "irsa-anywhere.io/injection": "enabled" };
  await post("/api/v1/namespaces", { metadata: { name: NAMESPACE, labels } });
  await plane.createServiceAccount(NAMESPACE, "reader", { [ROLE_KEY]: ROLE });
  webhookKubeconfig = await createAccess();

  await using webhook = await start();
  port = webhook.running.port;
  await post(
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    mutatingWebhookConfiguration({
      name: "irsa-anywhere",
      clientConfig: { url: `https://127.0.0.1:${port}`, caPem: stage.caPem },
      exemptNamespaces: ["irsa-system"],
    }),
  );
  await until("the webhook is in force", async () => {
    const { body } = await post(`${PODS}?dryRun=All`, podOf("probe"));
    return hasIdentity(body as StoredPod);
  });
});
after(() => cleanUp.disposeAsync());

describe("the audit after admission", { skip, timeout: 240_000 }, () => {
  it("finds the pod that started without identity while the webhook was down", async (t) => {
    const { body } = await post(PODS, podOf("orphan"));
    const pod = body as StoredPod;
    assert.equal(hasIdentity(pod), false, "the API server lets it pass (failurePolicy Ignore)");
    await setRunning("orphan");

    await using webhook = await start();
    await webhook.running.whenReady;
    const backMs = Date.now();
    await until("its Event is there", async () => (await eventsOf("Pod", "orphan")).length > 0);
    t.diagnostic(`reported ${Date.now() - backMs} ms after the webhook was ready`);

    const [event] = await eventsOf("Pod", "orphan");
    assert.deepEqual(
      [event?.type, event?.reason, event?.count],
      ["Warning", "AwsIdentityNoToken", 1],
    );
    assert.match(event?.message ?? "", /container "app" has no AWS_ROLE_ARN.*Delete the pod/);
    const labels = `{namespace="${NAMESPACE}",reason="no-token"}`;
    assert.equal(await webhook.metric(`irsa_webhook_audit_findings${labels}`), "1");
    assert.equal(await webhook.metric("irsa_webhook_audit_active"), "1");
    const found = webhook.lines.filter(({ msg }) => msg === "Pod lacks its identity");
    assert.deepEqual(
      found.map(({ namespace, pod: name, reason, roleArn }) => [namespace, name, reason, roleArn]),
      [[NAMESPACE, "orphan", "no-token", ROLE]],
    );
    await post(PODS, podOf("healthy"));
    await plane.admin.core.deleteNamespacedPod({ namespace: NAMESPACE, name: "orphan" });
    await until("the finding is gone", async () => {
      return (await webhook.metric(`irsa_webhook_audit_findings${labels}`)) === undefined;
    });
  });

  it("tells apart a pod that is older than the annotation", async () => {
    // Kubernetes notes who changed what only of objects that were made with something to note.
    await plane.createServiceAccount(NAMESPACE, "late", { "example.com/owner": "team" });
    await using webhook = await start();
    await webhook.running.whenReady;
    await post(PODS, podOf("early", "late"));
    // Kubernetes notes times in whole seconds.
    await sleep(1500);
    await plane.admin.core.patchNamespacedServiceAccount({
      namespace: NAMESPACE,
      name: "late",
      body: [{ op: "add", path: "/metadata/annotations/eks.amazonaws.com~1role-arn", value: ROLE }],
    });
    await until("its Event is there", async () => (await eventsOf("Pod", "early")).length > 0);
    const [event] = await eventsOf("Pod", "early");
    assert.equal(event?.reason, "AwsIdentityAnnotatedLater");
    await plane.admin.core.deleteNamespacedPod({ namespace: NAMESPACE, name: "early" });
  });

  it("evicts what a new pod cures, within PodDisruptionBudgets", async () => {
    const deployments = `/apis/apps/v1/namespaces/${NAMESPACE}/deployments`;
    await post(`/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets`, {
      metadata: { name: "guarded" },
      spec: { minAvailable: 1, selector: { matchLabels: { app: "guarded" } } },
    });
    await post(deployments, deploymentOf("free", 2));
    await post(deployments, deploymentOf("guarded", 1));
    await until("all pods are there", async () => (await podsOf("free", "guarded")).length === 3);
    const old = await podsOf("free", "guarded");
    for (const pod of old) {
      assert.equal(hasIdentity(pod), false);
      // A pod that does not run counts for no budget, so any budget lets it go.
      await setRunning(pod.metadata.name);
    }
    await until("the budget is counted", async () => {
      const path = `/apis/policy/v1/namespaces/${NAMESPACE}/poddisruptionbudgets/guarded`;
      const { body } = await kube.request({ path, timeoutMs: 10_000 });
      return (body as { status?: { currentHealthy?: number } }).status?.currentHealthy === 1;
    });

    await using webhook = await start("--audit-evict", "--audit-evict-per-minute=600");
    const freed = async (): Promise<readonly StoredPod[]> =>
      (await podsOf("free")).filter(hasIdentity);
    await until("one free pod is replaced by one with identity", async () => {
      return (await freed()).length === 1;
    });
    // Evictions are due ten times a second, but nobody has said yet that the replacement works.
    await sleep(5000);
    const [successor, ...others] = await freed();
    assert.deepEqual([others.length, (await podsOf("free")).length], [0, 2]);
    await setRunning(successor?.metadata.name ?? "");
    await until("the other one is replaced once that is ready", async () => {
      return (await freed()).length === 2;
    });
    await until("the guarded one was refused", async () => {
      // Asked again after a while, so on a slow machine it may be more than one by now.
      const refused = await webhook.metric('irsa_webhook_audit_evictions_total{result="refused"}');
      return Number(refused ?? 0) >= 1;
    });
    const guarded = old.find(({ metadata }) => metadata.labels?.["app"] === "guarded");
    const uids = (await podsOf("guarded")).map(({ metadata }) => metadata.uid);
    assert.deepEqual(uids, [guarded?.metadata.uid], "the budget was kept");
    await until("the other evictions are told", async () => {
      const evicted = await webhook.metric('irsa_webhook_audit_evictions_total{result="evicted"}');
      return evicted === "2";
    });
    for (const kind of ["ReplicaSet", "Deployment"]) {
      const events = await eventsOf(kind, "guarded");
      assert.deepEqual([...new Set(events.map(({ reason }) => reason))], ["AwsIdentityNoToken"]);
      assert.match(events[0]?.message ?? "", /^1 pod, such as guarded-/);
    }
    const free = (await eventsOf("ReplicaSet", "free")).map(({ reason }) => reason);
    assert.ok(free.includes("AwsIdentityEvicted"), free.join());
  });
});

/** The rights that docs/webhook.md lists, and no other. */
const CLUSTER_RULES = [
  { apiGroups: [""], resources: ["serviceaccounts"], verbs: ["get", "list", "watch"] },
  { apiGroups: [""], resources: ["namespaces"], verbs: ["get", "list", "watch"] },
  { apiGroups: [""], resources: ["pods"], verbs: ["list", "watch"] },
  { apiGroups: [""], resources: ["events"], verbs: ["get", "create", "patch"] },
  { apiGroups: ["apps"], resources: ["replicasets"], verbs: ["get"] },
  { apiGroups: ["batch"], resources: ["jobs"], verbs: ["get"] },
  { apiGroups: [""], resources: ["pods/eviction"], verbs: ["create"] },
];
const OWN_RULES = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: ["pod-identity-webhook-audit"],
    verbs: ["get", "update"],
  },
];
/** @returns the path of a kubeconfig with them. */
async function createAccess(): Promise<string> {
  const [namespace, name] = ["irsa-system", "irsa-webhook"];
  await plane.createServiceAccount(namespace, name);
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const subjects = [{ kind: "ServiceAccount", namespace, name }];
  for (const [path, kind, rules] of [
    [rbac, "ClusterRole", CLUSTER_RULES],
    [`${rbac}/namespaces/${namespace}`, "Role", OWN_RULES],
  ] as const) {
    const plural = `${kind.toLowerCase()}s`;
    await post(`${path}/${plural}`, { metadata: { name }, rules });
    const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind, name };
    const bindings = plural.replace(/s$/, "bindings");
    await post(`${path}/${bindings}`, { metadata: { name }, roleRef, subjects });
  }
  return (await plane.asServiceAccount(namespace, name)).kubeconfig;
}

/** Starts the webhook, at the port where it was before. */
async function start(...more: readonly string[]): Promise<Webhook> {
  const { log, lines } = createCollectedLog();
  const registry = new Registry();
  const flags = ["--kubeconfig", webhookKubeconfig, "--host=127.0.0.1", `--port=${port}`];
  flags.push("--metrics-port=0", "--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  flags.push("--in-cluster=false", "--namespace=irsa-system", ...more);
  const running = await startWebhook(webhookConfig.parse(flags, {}), { env: {}, log, registry });
  return {
    running,
    lines,
    async metric(text) {
      const metrics = await (await fetch(`http://127.0.0.1:${running.metricsPort}/metrics`)).text();
      const line = metrics.split("\n").find((candidate) => candidate.startsWith(`${text} `));
      return line?.slice(text.length + 1);
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  };
}

function podOf(name: string, serviceAccountName = "reader"): object {
  return {
    metadata: { name },
    spec: { serviceAccountName, containers: [{ name: "app", image: "i" }] },
  };
}

function deploymentOf(app: string, replicas: number): object {
  const labels = { app };
  const spec = { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }] };
  return {
    metadata: { name: app },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec },
    },
  };
}

function hasIdentity({ spec }: StoredPod): boolean {
  return spec.containers.every(({ env }) => env?.some(({ name }) => name === "AWS_ROLE_ARN"));
}

async function podsOf(...apps: readonly string[]): Promise<readonly StoredPod[]> {
  const selector = encodeURIComponent(`app in (${apps.join(",")})`);
  const path = `${PODS}?labelSelector=${selector}`;
  const { body } = await kube.request({ path, timeoutMs: 10_000 });
  return (body as { items: readonly StoredPod[] }).items;
}

/** Events about objects of a kind whose name begins so. */
async function eventsOf(kind: string, name: string): Promise<readonly StoredEvent[]> {
  const path = `/api/v1/namespaces/${NAMESPACE}/events`;
  const { body } = await kube.request({ path, timeoutMs: 10_000 });
  return (body as { items: readonly StoredEvent[] }).items.filter(
    ({ involvedObject, reason }) =>
      involvedObject.kind === kind &&
      involvedObject.name.startsWith(name) &&
      reason.startsWith("AwsIdentity"),
  );
}

/** What a kubelet would report. */
async function setRunning(name: string): Promise<void> {
  const conditions = [
    { type: "Ready", status: "True", lastTransitionTime: new Date().toISOString() },
  ];
  const answer = await kube.request({
    method: "PATCH",
    path: `${PODS}/${name}/status`,
    contentType: "application/merge-patch+json",
    body: { status: { phase: "Running", conditions } },
    timeoutMs: 10_000,
  });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function post(path: string, body: object): Promise<KubeAnswer> {
  const answer = await kube.request({ method: "POST", path, body, timeoutMs: 10_000 });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer;
}
