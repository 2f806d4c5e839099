import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { prepareStage, type Stage } from "../../cli/demo/stage.ts";
import { connect, type KubeAnswer, type KubeConnection } from "../../lib/kube/connection.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook, type RunningWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { startApiProxy, type ApiProxy } from "../fakes/api-proxy.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { createKubeClients } from "../kubernetes/kube-clients.ts";
import { untilWithin } from "../fakes/until.ts";

// The webhook loses its API server, in each of the ways in which that happens, while the cluster goes
// on: two API servers share their data, and the webhook follows the first through a proxy that can be
// told to fail, while pods are created and ServiceAccounts changed at the second. Meanwhile no pod
// whose ServiceAccount has a role comes without it unless that is said; afterwards all that was
// changed is seen.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const OTHER_ROLE = "arn:aws:iam::111122223333:role/writer";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const LABEL = "irsa-anywhere.io/injection";
const ALLOWED_KEY = "irsa-anywhere.io/allowed-roles";
const FLAGS = ["--etcd-compaction-interval=1s"];
/** A list-watch tries again at most this late, plus what a busy machine adds. */
const until = untilWithin({ limitMs: 90_000, pauseMs: 100 });
const TIMEOUT_MS = 30_000;
/** How long the API server answers 500. */
const OUTAGE_MS = 30_000;
/** How long the other faults last at least. */
const FAULT_SECONDS = 5;
/** A copy that has just been told something is never this old. */
const FRESH_SECONDS = 2;

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
const { log, lines } = createCollectedLog();
let stage: Stage;
let plane: ControlPlane;
let kube: KubeConnection;
let proxy: ApiProxy;
let webhook: RunningWebhook;
let touches = 0;

before(async () => {
  if (skip !== false) return;
  stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(
    await startControlPlane({ apiServers: [{ flags: FLAGS }, { flags: FLAGS }] }),
  );
  kube = connect({ kubeconfig: plane.kubeconfig, kubeApi: plane.apiServers[1]?.url });
  const { url, caPem } = plane;
  proxy = cleanUp.use(await startApiProxy({ url, caPem, keyPair: stage.keyPair }));
  const flags = ["--kubeconfig", await accessThroughProxy(), "--host=127.0.0.1", "--port=0"];
  flags.push("--metrics-port=0", "--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  flags.push("--in-cluster=false", "--audit=false");
  webhook = cleanUp.use(await startWebhook(webhookConfig.parse(flags, {}), { env: {}, log }));
  await webhook.whenReady;
  const clientConfig = { url: `https://127.0.0.1:${webhook.port}`, caPem: stage.caPem };
  await post(
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    mutatingWebhookConfiguration({ name: "irsa-anywhere", clientConfig }),
  );
  await addNamespace("probe", "enabled");
  await addAccount("probe", "steady", ROLE);
  await until("the webhook is in force", async () => {
    return (await createPod("probe", "steady")).roleArn === ROLE;
  });
});
after(() => cleanUp.disposeAsync());

interface Fault {
  readonly slug: string;
  begin(): Promise<void>;
  /** What has to be so before it ends, beside its shortest time. */
  hold?(): Promise<void>;
  end(): Promise<void>;
  /** Shortest staleness that the metric shows when it ends. */
  readonly seconds: number;
  /** Whether single objects can be read meanwhile, so that nothing is unknown. */
  readonly readsLive: boolean;
  /** What the log says why objects could not be followed. */
  readonly reason: RegExp;
  /** Whether ServiceAccounts are listed anew, rather than watched from where it broke off. */
  readonly relists: boolean;
}

describe("the webhook, when its API server fails", { skip, timeout: 600_000 }, () => {
  it("goes on after its watches were cut, from where they broke off", async (t) => {
    await survive(t, {
      slug: "cut",
      begin: async () => failWith({ kind: "cut" }, ({ isWatch }) => isWatch),
      end: async () => stopFailing(),
      seconds: FAULT_SECONDS,
      readsLive: true,
      reason: /socket hang up|aborted|ECONNRESET/,
      relists: false,
    });
  });

  it("goes on after 30 s of 500s", async (t) => {
    const outage = Promise.withResolvers<void>();
    await survive(t, {
      slug: "answers-500",
      begin: async () => {
        failWith({ kind: "status", status: 500 });
        setTimeout(outage.resolve, OUTAGE_MS);
      },
      hold: () => outage.promise,
      end: async () => stopFailing(),
      seconds: OUTAGE_MS / 1000 - FRESH_SECONDS,
      readsLive: false,
      reason: /500/,
      relists: true,
    });
  });

  it("goes on after a restart of the API server, which remembers no changes from before", async (t) => {
    const [first] = plane.apiServers;
    await survive(t, {
      slug: "restart",
      begin: () => first.stop(),
      end: () => first.start(),
      seconds: FAULT_SECONDS,
      readsLive: false,
      reason: /410: too old resource version/,
      relists: true,
    });
  });

  it("goes on when what it would watch from was compacted away", async (t) => {
    const [first] = plane.apiServers;
    let resourceVersion = "";
    await survive(t, {
      slug: "compacted",
      async begin() {
        failWith({ kind: "cut" });
        // Then a watch is served from etcd itself, and knows what etcd knows.
        await first.stop();
        await first.start({ flags: [...FLAGS, "--watch-cache=false"] });
        resourceVersion = await currentVersion();
      },
      hold: () => untilGone(resourceVersion),
      end: async () => stopFailing(),
      seconds: FAULT_SECONDS,
      readsLive: false,
      reason: /410/,
      relists: true,
    });
  });
});

const TIERS = { open: "enabled", strict: "required" } as const;

/** Lives through a fault: what is there before, what changes meanwhile, what is seen afterwards. */
async function survive(t: TestContext, fault: Fault): Promise<void> {
  const { slug, readsLive } = fault;
  const namespaces = Object.keys(TIERS).map((tier) => `${tier}-${slug}`);
  const [open = "", strict = ""] = namespaces;
  await addNamespace(open, TIERS.open);
  await addNamespace(strict, TIERS.strict);
  await addNamespace(`policy-${slug}`, "required");
  await addAccount(`policy-${slug}`, "steady", ROLE);
  for (const namespace of namespaces) {
    for (const name of ["steady", "changed", "deleted"]) await addAccount(namespace, name, ROLE);
    for (const name of ["annotated", "plain"]) await addAccount(namespace, name);
  }
  await untilFresh();
  const seen = lines.length;

  const load = startLoad(strict);
  await fault.begin();
  await addNamespace(`late-${slug}`, "required");
  await addAccount(`late-${slug}`, "steady", ROLE);
  await patch(`/api/v1/namespaces/policy-${slug}`, { [ALLOWED_KEY]: "[]" });
  for (const namespace of namespaces) {
    await patch(accountPath(namespace, "changed"), { [ROLE_KEY]: OTHER_ROLE });
    await patch(accountPath(namespace, "annotated"), { [ROLE_KEY]: ROLE });
    await kube.request({
      method: "DELETE",
      path: accountPath(namespace, "deleted"),
      timeoutMs: TIMEOUT_MS,
    });
    await addAccount(namespace, "fresh", ROLE);
  }

  await until("the metric shows the fault", async () => {
    assert.match((await createPod(open, "changed")).roleArn ?? "", /reader|writer/);
    for (const [namespace, name] of [
      [open, "annotated"],
      [strict, "annotated"],
      [open, "fresh"],
      [strict, "fresh"],
      [`late-${slug}`, "steady"],
    ] as const) {
      assertNothingSilent(await createPod(namespace, name), namespace, readsLive);
    }
    return (await staleSeconds()) >= FAULT_SECONDS;
  });
  await fault.hold?.();
  const peakSeconds = await staleSeconds();
  assert.ok(peakSeconds >= fault.seconds, `only ${peakSeconds} s stale`);
  await fault.end();
  const endMs = performance.now();

  await until("it has seen all changes", async () => {
    const reads = await liveReads();
    const [changed, annotated, fresh] = await Promise.all(
      ["changed", "annotated", "fresh"].map((name) => createPod(strict, name)),
    );
    const late = await createPod(`late-${slug}`, "steady");
    const policy = await createPod(`policy-${slug}`, "steady");
    const roles = [changed, annotated, fresh, late].map((pod) => pod?.roleArn);
    return (
      roles.join() === [OTHER_ROLE, ROLE, ROLE, ROLE].join() &&
      policy.status === 403 &&
      // From its own copy, not because it asked.
      (await liveReads()) === reads
    );
  });
  const seconds = Math.round((performance.now() - endMs) / 100) / 10;
  await untilFresh();
  await load.stop();
  for (const namespace of namespaces) {
    for (const [name, role] of [
      ["steady", ROLE],
      ["changed", OTHER_ROLE],
      ["annotated", ROLE],
      ["fresh", ROLE],
      ["plain", undefined],
    ] as const) {
      const { status, roleArn, warning } = await createPod(namespace, name);
      assert.deepEqual([status, roleArn, warning], [201, role, ""], `${namespace}/${name}`);
    }
  }
  assert.equal(await reasonFor(open, "deleted"), "service-account-not-found");
  const since = lines.slice(seen);
  const accounts = since.filter(({ path }) => path === "/api/v1/serviceaccounts");
  const reasons = accounts.flatMap(({ msg, reason }) =>
    msg === "Cannot follow objects" ? [String(reason)] : [],
  );
  assert.ok(
    reasons.some((reason) => fault.reason.test(reason)),
    reasons.join("; "),
  );
  const lists = accounts.filter(({ msg }) => msg === "Listed objects").length;
  assert.equal(lists > 0, fault.relists, `${lists} lists: ${reasons.join("; ")}`);
  t.diagnostic(
    `stale for ${Math.round(peakSeconds)} s, all seen ${seconds} s after the end, ` +
      `${load.pods} pods meanwhile`,
  );
}

/** A pod whose ServiceAccount has a role has it, or a warning, or is refused where it is required. */
function assertNothingSilent(pod: Created, namespace: string, readsLive: boolean): void {
  const { status, roleArn, warning, message } = pod;
  if (readsLive) return assert.deepEqual([status, roleArn, warning], [201, ROLE, ""], namespace);
  const unread = /its ServiceAccount could not be read/;
  if (namespace.startsWith("open-")) {
    assert.deepEqual([status, roleArn], [201, undefined]);
    assert.match(warning, unread);
  } else {
    assert.equal(status, 403, namespace);
    assert.match(message, /could not be read: try again/);
  }
}

interface Load {
  readonly pods: number;
  stop(): Promise<void>;
}

/** Creates pods of a ServiceAccount that has its role throughout; each must get it. */
function startLoad(namespace: string): Load {
  const stop = new AbortController();
  let pods = 0;
  const failures: string[] = [];
  const running = (async () => {
    while (!stop.signal.aborted) {
      const pod = await createPod(namespace, "steady");
      pods += 1;
      if (pod.status !== 201 || pod.roleArn !== ROLE) failures.push(JSON.stringify(pod));
      await sleep(20);
    }
  })();
  // Told when it is stopped.
  running.catch(() => {});
  return {
    get pods() {
      return pods;
    },
    async stop() {
      stop.abort();
      await running;
      assert.deepEqual(failures, []);
    },
  };
}

function failWith(
  fault: ReturnType<ApiProxy["faultOf"]>,
  isHit: (request: Parameters<ApiProxy["faultOf"]>[0]) => boolean = () => true,
): void {
  proxy.faultOf = (request) => (isHit(request) ? fault : undefined);
  proxy.cutWatches();
}

function stopFailing(): void {
  proxy.faultOf = () => undefined;
}

/** The rights that docs/webhook.md lists for a webhook without audit and own certificates. */
async function accessThroughProxy(): Promise<string> {
  const name = "irsa-webhook";
  await plane.createServiceAccount("eks", name);
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const resources = ["serviceaccounts", "namespaces"];
  await post(`${rbac}/clusterroles`, {
    metadata: { name },
    rules: [{ apiGroups: [""], resources, verbs: ["get", "list", "watch"] }],
  });
  await post(`${rbac}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
    subjects: [{ kind: "ServiceAccount", namespace: "eks", name }],
  });
  const { token } = await plane.requestToken({ namespace: "eks", serviceAccount: name });
  const endpoint = { url: proxy.url, caPem: stage.caPem };
  const path = join(stage.folder, "webhook.kubeconfig");
  await writeFile(path, createKubeClients(endpoint, name, { token }).kubeConfig.exportConfig());
  return path;
}

async function addNamespace(name: string, label: string): Promise<void> {
  await post("/api/v1/namespaces", { metadata: { name, labels: { [LABEL]: label } } });
}

async function addAccount(namespace: string, name: string, role?: string): Promise<void> {
  const annotations = role === undefined ? {} : { [ROLE_KEY]: role };
  await post(`/api/v1/namespaces/${namespace}/serviceaccounts`, {
    metadata: { name, annotations },
  });
}

/** Changes something of each kind that the webhook follows, until the metric says that it was told. */
async function untilFresh(): Promise<void> {
  await until("the metric says that all is fresh", async () => {
    touches += 1;
    const annotations = { "example.com/touched": String(touches) };
    await patch("/api/v1/namespaces/probe", annotations);
    await patch(accountPath("probe", "steady"), annotations);
    return (await staleSeconds()) < FRESH_SECONDS;
  });
}

function accountPath(namespace: string, name: string): string {
  return `/api/v1/namespaces/${namespace}/serviceaccounts/${name}`;
}

interface Created {
  readonly status: number;
  readonly roleArn: string | undefined;
  readonly warning: string;
  /** What the API server says when it refuses. */
  readonly message: string;
}

/** Has the second API server create a pod, up to the point where it would be stored. */
async function createPod(namespace: string, serviceAccountName: string): Promise<Created> {
  const spec = { serviceAccountName, containers: [{ name: "app", image: "i" }] };
  const answer = await kube.request({
    method: "POST",
    path: `/api/v1/namespaces/${namespace}/pods?dryRun=All`,
    body: { metadata: { name: "pod" }, spec },
    timeoutMs: TIMEOUT_MS,
  });
  const { message = "", spec: stored } = answer.body as {
    message?: string;
    spec?: { containers: readonly { env?: readonly { name: string; value: string }[] }[] };
  };
  const env = stored?.containers[0]?.env ?? [];
  return {
    status: answer.status,
    roleArn: env.find(({ name }) => name === "AWS_ROLE_ARN")?.value,
    warning: answer.headers["warning"] ?? "",
    message,
  };
}

/** Asks the webhook itself, for Kubernetes refuses a pod whose ServiceAccount is gone before that. */
async function reasonFor(namespace: string, serviceAccountName: string): Promise<string> {
  const object = { spec: { serviceAccountName, containers: [{ name: "app" }] } };
  const req = httpsRequest({
    host: "127.0.0.1",
    port: webhook.port,
    ca: stage.caPem,
    agent: false,
    path: "/mutate",
    method: "POST",
    headers: { "content-type": "application/json" },
  });
  req.end(JSON.stringify({ request: { uid: "u", namespace, object } }));
  const [res] = await once(req, "response");
  return ((await json(res)) as { response: { auditAnnotations: { reason: string } } }).response
    .auditAnnotations.reason;
}

async function metrics(): Promise<string> {
  return (await fetch(`http://127.0.0.1:${webhook.metricsPort}/metrics`)).text();
}

async function staleSeconds(): Promise<number> {
  return Number(/^irsa_webhook_cache_stale_seconds (\S+)$/m.exec(await metrics())?.[1]);
}

async function liveReads(): Promise<number> {
  const counters = (await metrics()).matchAll(/^irsa_webhook_\w+_live_reads_total\S* (\d+)$/gm);
  return [...counters].reduce((sum, [, count]) => sum + Number(count), 0);
}

async function currentVersion(): Promise<string> {
  const path = "/api/v1/serviceaccounts?limit=1";
  const { body } = await kube.request({ path, timeoutMs: TIMEOUT_MS });
  return (body as { metadata: { resourceVersion: string } }).metadata.resourceVersion;
}

/** Changes something else again and again until nobody can watch from that version any more. */
async function untilGone(resourceVersion: string): Promise<void> {
  const [first] = plane.apiServers;
  const query = `watch=true&timeoutSeconds=1&resourceVersion=${resourceVersion}`;
  await until("the version is compacted away", async () => {
    await post("/api/v1/namespaces/probe/configmaps", { metadata: { generateName: "passing-" } });
    const { status, body } = await first.getRaw(`/api/v1/serviceaccounts?${query}`);
    return status === 410 || body.includes('"code":410');
  });
}

async function patch(path: string, annotations: object): Promise<void> {
  const contentType = "application/merge-patch+json";
  const body = { metadata: { annotations } };
  const request = { method: "PATCH", path, contentType, body, timeoutMs: TIMEOUT_MS };
  const answer = await kube.request(request);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function post(path: string, body: object): Promise<KubeAnswer> {
  const answer = await kube.request({ method: "POST", path, body, timeoutMs: TIMEOUT_MS });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer;
}
