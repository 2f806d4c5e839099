import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { askWebhook } from "../../cli/demo/ask-webhook.ts";
import { connect, type KubeAnswer, type KubeConnection } from "../../lib/kube/connection.ts";
import {
  caBundlePatch,
  WebhookConfigurationObject,
} from "../../webhook/certificates/ca-bundle-patch.ts";
import { MANIFESTS } from "../../scripts/manifests/render-manifests.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { createWorkspace, type Workspace } from "../kubernetes/workspace.ts";
import { allows, rightsGranted, rightsUsed, rightText } from "./access-rights.ts";
import { allObjects } from "./all-objects.ts";
import { findHelm, missingHelm, type Helm, type Output } from "./helm-program.ts";
import { startInstalledIssuer, startInstalledWebhook } from "./installed-programs.ts";
import { CHART, NAMESPACE, RELEASE } from "./rendered-chart.ts";
import { untilWithin } from "../fakes/until.ts";

// The chart and the plain manifests on a real API server with its controllers. There are no nodes: the
// programs run in this process, with the flags of their Deployments and the rights of their
// ServiceAccounts.

const skip = (await missingComponents(process.env)) ?? (await missingHelm(process.env)) ?? false;
const ROLE = "arn:aws:iam::111122223333:role/reader";
const LABEL = "irsa-anywhere.io/injection";
const TEAM = "team";
const ISSUER = "https://oidc.example.com/prod";
const until = untilWithin({ limitMs: 90_000, pauseMs: 200 });

const cleanUp = new AsyncDisposableStack();
let plane: ControlPlane;
let kube: KubeConnection;
let helm: Helm;
/** Where Helm finds a folder for temporary files. */
let helmFolder: string;
let workspace: Workspace;

before(async () => {
  if (skip !== false) return;
  workspace = cleanUp.use(await createWorkspace());
  helmFolder = join(workspace.path, "helm");
  await mkdir(helmFolder);
  helm = await findHelm({ ...process.env, TMPDIR: helmFolder });
  plane = cleanUp.use(
    await startControlPlane({
      controllerManager: true,
      auditLog: true,
      issuers: [ISSUER],
      // Webhooks are called at the addresses behind their Service. There are none, so a call fails at once.
      flags: ["--enable-aggregator-routing=true"],
    }),
  );
  kube = connect({ kubeconfig: plane.kubeconfig });
});
after(() => cleanUp.disposeAsync());

describe("helm", { skip, timeout: 600_000 }, () => {
  let atFirst: readonly string[];
  before(async () => {
    if (skip !== false) return;
    await kubectl("apply", "-k", fileURLToPath(new URL("namespace", MANIFESTS)));
    await untilSettled(NAMESPACE);
    atFirst = await allObjects(kube);
  });

  it("installs in one command, without a warning", async () => {
    const { stdout, stderr } = await release("install");
    assert.doesNotMatch(stderr, /warning|violate/i);
    assert.match(stdout, /rollout status deployment\/irsa-webhook/);
    assert.deepEqual(await readdir(helmFolder), [], "Helm leaves nothing on this machine");
    assert.doesNotMatch(stdout, /pod-security/, "the namespace enforces the standard already");
    for (const name of ["irsa-webhook", "irsa-issuer"]) {
      await until(`the pods of ${name} are admitted`, async () => (await podsOf(name)) === 2);
    }
  });

  it("grants exactly the rights that are used", async (t) => {
    await plane.createServiceAccount(TEAM, "reader", { "eks.amazonaws.com/role-arn": ROLE });
    await plane.createServiceAccount(TEAM, "nobody");
    {
      await using webhook = await startInstalledWebhook(plane, NAMESPACE);
      await webhook.running.whenReady;
      // Neither a role nor a namespace that the copies know is looked up.
      for (const namespace of [TEAM, "unheard-of"]) {
        const pod = { spec: { serviceAccountName: "nobody", containers: [{ name: "app" }] } };
        await askWebhook(await target(webhook.running.port), pod, namespace);
      }
      // As if created while the webhook was down: found, told, and, where a controller makes them anew, evicted.
      await post(`/apis/apps/v1/namespaces/${TEAM}/deployments`, deployment("web"));
      await post(`/apis/batch/v1/namespaces/${TEAM}/jobs`, job("batch"));
      await cover(TEAM);
      await until("the job's pod is told of", async () => (await eventsOf("Job", "batch")) > 0);
      await until("an eviction is asked for", async () =>
        (await used("irsa-webhook")).some(({ resource }) => resource === "/pods/eviction"),
      );
      assert.deepEqual(problems(webhook.lines), []);
    }
    {
      // What it has told before is told again, on the same Events.
      await using webhook = await startInstalledWebhook(plane, NAMESPACE);
      await webhook.running.whenReady;
      await until("the Event is patched", async () =>
        (await used("irsa-webhook")).some(
          ({ resource, verb }) => resource === "/events" && verb === "patch",
        ),
      );
      await using issuer = await startInstalledIssuer(plane, NAMESPACE);
      await issuer.running.whenReady();
      await until("the keys are kept", async () =>
        (await used("irsa-issuer")).some(({ verb }) => verb === "update"),
      );
      assert.deepEqual(problems(issuer.lines), []);
    }
    for (const name of ["irsa-webhook", "irsa-issuer"]) {
      const granted = await rightsGranted(plane.admin, { namespace: NAMESPACE, name });
      const uses = await used(name);
      const refused = uses.filter(({ isAllowed }) => !isAllowed);
      assert.deepEqual(refused, [], name);
      const needed = granted.filter((right) => uses.some((use) => allows(right, use)));
      t.diagnostic(`${name}: ${needed.length} rights used of ${granted.length} granted`);
      assert.deepEqual(needed.map(rightText).toSorted(), granted.map(rightText).toSorted(), name);
      const beyond = uses.filter((use) => !granted.some((right) => allows(right, use)));
      assert.deepEqual(beyond.map(rightText), [], name);
    }
  });

  it("upgrades to other values without a moment in which a caBundle is missing", async (t) => {
    await using webhook = await startInstalledWebhook(plane, NAMESPACE);
    await webhook.running.whenReady;
    const stop = new AbortController();
    const watches = ["mutating", "validating"].map((kind) =>
      bundlesSeen(`${kind}webhookconfigurations`, stop.signal),
    );
    const secret = await certificates();
    for (const [revision, values] of [
      { webhook: { allNamespaces: true, settings: { "aws-default-region": "eu-central-1" } } },
      { webhook: { allNamespaces: false }, image: { tag: "other" } },
      // As Helm 3 does it, by three-way merges of the client.
      { webhook: { allNamespaces: true }, flags: ["--server-side=false"] },
      { webhook: { allNamespaces: false }, flags: ["--server-side=false"] },
    ].entries()) {
      const { flags = [], ...own } = values as { flags?: readonly string[] };
      await release("upgrade", own, ...flags);
      t.diagnostic(`revision ${revision + 2} is there`);
    }
    await helm(["rollback", RELEASE, "1", `--namespace=${NAMESPACE}`], plane);
    await sleep(500);
    stop.abort();
    const seen = (await Promise.all(watches)).flat();
    t.diagnostic(`${seen.length} versions of webhook configurations seen`);
    // allNamespaces changes the selector, so each upgrade wrote the configuration.
    assert.ok(seen.length > 5, String(seen.length));
    assert.deepEqual([...new Set(seen)], ["complete"]);
    assert.deepEqual(await certificates(), secret, "the certificates are the same");
    assert.deepEqual(problems(webhook.lines), []);
  });

  it("uninstalls while the programs still run, and leaves the issuer's keys and nothing else", async () => {
    await using webhook = await startInstalledWebhook(plane, NAMESPACE);
    await using issuer = await startInstalledIssuer(plane, NAMESPACE);
    await Promise.all([webhook.running.whenReady, issuer.running.whenReady()]);
    await helm(["uninstall", RELEASE, `--namespace=${NAMESPACE}`], plane);
    // Time for the programs to write what they think is missing.
    await sleep(3000);
    await webhook[Symbol.asyncDispose]();
    await issuer[Symbol.asyncDispose]();
    await kubectl("delete", "namespace", TEAM);
    const kept = `v1/configmaps ${NAMESPACE}/irsa-issuer-keys`;
    await untilEqual([...atFirst, kept]);

    await release("install");
    const { data } = await plane.admin.core.readNamespacedConfigMap({
      namespace: NAMESPACE,
      name: "irsa-issuer-keys",
    });
    assert.match(data?.["state.json"] ?? "", /"kid"/, "the next install takes the keys over");
    await helm(["uninstall", RELEASE, `--namespace=${NAMESPACE}`], plane);
    await kubectl("delete", "configmap", "irsa-issuer-keys", `--namespace=${NAMESPACE}`);
    await untilEqual(atFirst);
  });
});

describe("kubectl apply -k", { skip, timeout: 300_000 }, () => {
  const folder = fileURLToPath(MANIFESTS);
  let atFirst: readonly string[];
  before(async () => {
    if (skip !== false) return;
    await kubectl("delete", "--ignore-not-found", "-k", join(folder, "namespace"));
    atFirst = await allObjects(kube);
  });

  it("installs the webhook in one command, and changes nothing the second time", async () => {
    const first = await kubectl("apply", "-k", folder);
    assert.equal(first.stderr, "");
    await until("its pods are admitted", async () => (await podsOf("irsa-webhook")) === 2);
    await using webhook = await startInstalledWebhook(plane, NAMESPACE);
    await webhook.running.whenReady;
    const bundles = await certificates();
    const second = await kubectl("apply", "-k", folder);
    const changed = second.stdout.split("\n").filter((line) => !line.endsWith(" unchanged"));
    // kubectl sends the selector of a PodDisruptionBudget each time; the API server changes nothing.
    assert.deepEqual(changed, ["poddisruptionbudget.policy/irsa-webhook configured", ""]);
    assert.deepEqual(await certificates(), bundles);
    assert.deepEqual(problems(webhook.lines), []);
  });

  it("installs the issuer beside it, and takes it away alone", async () => {
    const issuer = join(folder, "issuer");
    const withWebhook = await allObjects(kube);
    await kubectl("apply", "-k", issuer);
    await until("its pods are admitted", async () => (await podsOf("irsa-issuer")) === 2);
    await kubectl("delete", "-k", issuer);
    await untilEqual(withWebhook);
  });

  it("installs the shim beside it, and takes it away alone", async () => {
    const shim = join(folder, "shim");
    const withWebhook = await allObjects(kube);
    const { stderr } = await kubectl("apply", "-k", shim);
    assert.equal(stderr, "");
    const withShim = await allObjects(kube);
    const isNew = (object: string): boolean => !withWebhook.includes(object);
    assert.deepEqual(
      withShim.filter(isNew).filter((object) => !object.includes("controllerrevisions")),
      [
        "apps/v1/daemonsets kube-system/irsa-shim",
        "rbac.authorization.k8s.io/v1/clusterrolebindings /irsa-shim",
        "rbac.authorization.k8s.io/v1/clusterroles /irsa-shim",
        "v1/serviceaccounts kube-system/irsa-shim",
      ],
    );
    await kubectl("delete", "-k", shim);
    await untilEqual(withWebhook);
  });

  it("is undone by kubectl delete -k, webhook configurations within the time of a drain", async () => {
    const startMs = performance.now();
    const deleting = kubectl("delete", "-k", folder);
    await until("nobody is asked to call the webhook", async () => {
      const { body } = await kube.request({
        path: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
        timeoutMs: 10_000,
      });
      return (body as { items: readonly unknown[] }).items.length === 0;
    });
    const tookMs = performance.now() - startMs;
    await deleting;
    await untilEqual(atFirst);
    // --shutdown-delay-seconds: so long it answers after it was told to stop.
    assert.ok(tookMs < 5000, `${tookMs} ms`);
  });
});

/** Installs or upgrades, with every option that grants a right. */
async function release(
  command: "install" | "upgrade",
  values: object = {},
  ...flags: readonly string[]
): Promise<Output> {
  const { webhook = {}, ...others } = values as { webhook?: object };
  const all = {
    ...others,
    webhook: {
      audit: { evict: true },
      watchConfigMap: true,
      ...webhook,
      settings: { "tls-san": ["127.0.0.1"], "audit-evict-per-minute": 600 },
    },
    issuer: { enabled: true, url: ISSUER, settings: { "poll-seconds": 1 } },
    // There are no nodes for it. Its rights are compared on a real one, in test/e2e/pods.
    shim: {
      enabled: true,
      containerCredentials: true,
      removeTaint: "irsa-anywhere.io/shim-not-ready",
    },
  };
  const file = join(workspace.path, "values.json");
  await writeFile(file, JSON.stringify(all));
  const where = [RELEASE, CHART, `--namespace=${NAMESPACE}`, `--values=${file}`];
  return helm([command, ...where, ...flags], plane);
}

async function kubectl(...args: readonly string[]): Promise<Output> {
  const [program = "", ...first] = plane.commandOf("kubectl");
  return promisify(execFile)(program, [...first, ...args], {
    env: { PATH: process.env["PATH"], HOME: workspace.path, KUBECONFIG: plane.kubeconfig },
  });
}

/** How the webhook is asked without a Service. */
async function target(port: number): Promise<Parameters<typeof askWebhook>[0]> {
  const { "ca.crt": ca = "" } = await certificates();
  const caPem = Buffer.from(ca, "base64").toString("utf8");
  return { url: `https://127.0.0.1:${port}/mutate`, caPem, timeoutMs: 10_000 };
}

async function certificates(): Promise<Readonly<Record<string, string>>> {
  const { data = {} } = await plane.admin.core.readNamespacedSecret({
    namespace: NAMESPACE,
    name: "irsa-webhook-certificates",
  });
  return data;
}

/** What a ServiceAccount of the release did so far. */
async function used(name: string): ReturnType<typeof rightsUsed> {
  const [{ auditFile }] = plane.apiServers;
  return rightsUsed(auditFile, `system:serviceaccount:${NAMESPACE}:${name}`);
}

/** Follows the configuration until the signal, and says of each version whether all bundles are right. */
async function bundlesSeen(resource: string, signal: AbortSignal): Promise<readonly string[]> {
  const { "ca.crt": ca = "" } = await certificates();
  const caPem = Buffer.from(ca, "base64").toString("utf8");
  const query = "watch=true&fieldSelector=metadata.name%3Dirsa-anywhere";
  const { lines } = await kube.stream({
    path: `/apis/admissionregistration.k8s.io/v1/${resource}?${query}`,
    signal,
    headTimeoutMs: 10_000,
  });
  const seen: string[] = [];
  try {
    for await (const line of lines) {
      const { object } = JSON.parse(line) as { object: unknown };
      const configuration = WebhookConfigurationObject.parse(object);
      const isComplete = caBundlePatch(configuration, caPem).length === 0;
      seen.push(isComplete ? "complete" : JSON.stringify(object));
    }
  } catch (err) {
    if (!signal.aborted) throw err;
  }
  return seen;
}

/** What the test has made so. */
const EXPECTED: ReadonlySet<string> = new Set([
  "Pod lacks its identity",
  "Serving plain HTTP: TLS must end in front of it",
]);

function problems(
  lines: readonly Readonly<Record<string, unknown>>[],
): readonly Readonly<Record<string, unknown>>[] {
  // As pino counts: 40 is warn.
  return lines.filter(({ level, msg }) => Number(level) >= 40 && !EXPECTED.has(String(msg)));
}

async function podsOf(name: string): Promise<number> {
  const component = name.replace("irsa-", "");
  const { items } = await plane.admin.core.listNamespacedPod({
    namespace: NAMESPACE,
    labelSelector: `app.kubernetes.io/component=${component}`,
  });
  return items.length;
}

async function eventsOf(kind: string, name: string): Promise<number> {
  const { items } = await plane.admin.core.listNamespacedEvent({
    namespace: TEAM,
    fieldSelector: `involvedObject.kind=${kind},involvedObject.name=${name}`,
  });
  return items.filter(({ reason }) => reason?.startsWith("AwsIdentity")).length;
}

async function cover(namespace: string): Promise<void> {
  const body = [
    { op: "add", path: `/metadata/labels/${LABEL.replace("/", "~1")}`, value: "enabled" },
  ];
  await plane.admin.core.patchNamespace({ name: namespace, body });
}

function deployment(app: string): object {
  const labels = { app };
  return {
    metadata: { name: app },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: podSpec() },
    },
  };
}

function job(name: string): object {
  return {
    metadata: { name },
    spec: { template: { spec: { ...podSpec(), restartPolicy: "Never" } } },
  };
}

function podSpec(): object {
  return { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }] };
}

/** What controllers add to a new namespace is there. */
async function untilSettled(namespace: string): Promise<void> {
  await until(`${namespace} has what every namespace has`, async () => {
    const objects = await allObjects(kube);
    return ["v1/serviceaccounts default", "v1/configmaps kube-root-ca.crt"].every((object) =>
      objects.includes(object.replace(" ", ` ${namespace}/`)),
    );
  });
}

async function untilEqual(wanted: readonly string[]): Promise<void> {
  const expected = [...wanted].toSorted();
  let found: readonly string[] = [];
  await until("what was there before is there", async () => {
    found = await allObjects(kube);
    return JSON.stringify(found) === JSON.stringify(expected);
  }).catch(() => assert.deepEqual(found, expected));
}

async function post(path: string, body: object): Promise<KubeAnswer> {
  const answer = await kube.request({ method: "POST", path, body, timeoutMs: 20_000 });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer;
}
