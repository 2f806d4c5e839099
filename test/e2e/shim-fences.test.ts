import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { prepareStage } from "../../cli/demo/stage.ts";
import { systemClock } from "../../lib/clock.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { createLogger } from "../../lib/log.ts";
import { createIdentifyCaller } from "../../metadata-shim/caller/identify-caller.ts";
import { podKeeper } from "../../metadata-shim/caller/known-pod.ts";
import { LivePods } from "../../metadata-shim/caller/live-pods.ts";
import { followNodePods } from "../../metadata-shim/caller/node-pods.ts";
import { tokenRequestPolicy } from "../../metadata-shim/token-request-policy.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook } from "../../webhook/main.ts";
import { validatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { until } from "../fakes/until.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { createKubeClients } from "../kubernetes/kube-clients.ts";

// What a real API server lets the metadata shim's ServiceAccount have, with both fences up; and that
// it selects pods by the fields that the shim asks for.

const SHIM = { namespace: "irsa-system", name: "irsa-shim" };
const AUDIENCE = "sts.amazonaws.com";
const skip = (await missingComponents(process.env)) ?? false;
const cleanUp = new AsyncDisposableStack();
let plane: ControlPlane;
let admin: KubeConnection;

interface Answer {
  readonly status: number;
  readonly message: string;
}

async function send(connection: KubeConnection, path: string, body: object): Promise<Answer> {
  const request = { method: "POST", path, body, timeoutMs: 30_000 };
  const { status, body: answer } = await connection.request(request);
  const { message } = answer as { readonly message?: string };
  return { status, message: message ?? "" };
}

async function createPod(
  namespace: string,
  name: string,
  { node, serviceAccount }: { readonly node: string | undefined; readonly serviceAccount: string },
): Promise<string> {
  const { metadata } = await plane.admin.core.createNamespacedPod({
    namespace,
    body: {
      metadata: { name },
      spec: {
        serviceAccountName: serviceAccount,
        ...(node === undefined ? {} : { nodeName: node }),
        containers: [{ name: "app", image: "app" }],
      },
    },
  });
  return metadata?.uid ?? assert.fail("The pod has no uid");
}

/** The way to the API server with a token of the shim's that is bound to a pod, as kubelet mounts it. */
async function asShim(
  folder: string,
  boundPod: { readonly name: string; readonly uid: string } | undefined,
): Promise<KubeConnection> {
  const { token } = await plane.requestToken({
    namespace: SHIM.namespace,
    serviceAccount: SHIM.name,
    boundPod,
  });
  const clients = createKubeClients({ url: plane.url, caPem: plane.caPem }, "shim", { token });
  const file = join(folder, `kubeconfig-${boundPod?.name ?? "unbound"}`);
  await writeFile(file, clients.kubeConfig.exportConfig());
  return connect({ kubeconfig: file });
}

before(async () => {
  if (skip !== false) return;
  const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(await startControlPlane());
  admin = connect({ kubeconfig: plane.kubeconfig });
  for (const name of ["node-a", "node-b"]) {
    await plane.admin.core.createNode({ body: { metadata: { name } } });
  }
  await plane.createServiceAccount(SHIM.namespace, SHIM.name);
  await plane.createServiceAccount("team", "app");
  const flags = ["--in-cluster=false", "--kubeconfig", plane.kubeconfig, "--host=127.0.0.1"];
  flags.push("--port=0", "--metrics-port=0", "--tls-cert", stage.certFile);
  flags.push("--tls-key", stage.keyFile, "--audit=false");
  const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
  const webhook = cleanUp.use(await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} }));
  await webhook.whenReady;
  const admission = "/apis/admissionregistration.k8s.io/v1";
  const [policy, binding] = tokenRequestPolicy({
    name: "irsa-shim-tokens",
    serviceAccount: SHIM,
    audiences: [AUDIENCE],
  });
  const configuration = validatingWebhookConfiguration({
    name: "irsa-anywhere",
    clientConfig: { url: `https://127.0.0.1:${webhook.port}`, caPem: stage.caPem },
    tokenRequester: `system:serviceaccount:${SHIM.namespace}:${SHIM.name}`,
  });
  for (const [kind, object] of [
    ["validatingadmissionpolicies", policy],
    ["validatingadmissionpolicybindings", binding],
    ["validatingwebhookconfigurations", configuration],
  ] as const) {
    const { status, message } = await send(admin, `${admission}/${kind}`, object);
    assert.equal(status, 201, message);
  }
  // More than the shim should have: it is the fences that are tested.
  const rbac = "/apis/rbac.authorization.k8s.io/v1";
  const rules = [{ apiGroups: [""], resources: ["serviceaccounts/token"], verbs: ["create"] }];
  const roleRef = { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "shim" };
  const subjects = [{ kind: "ServiceAccount", ...SHIM }];
  await send(admin, `${rbac}/clusterroles`, { metadata: { name: "shim" }, rules });
  await send(admin, `${rbac}/clusterrolebindings`, {
    metadata: { name: "shim" },
    roleRef,
    subjects,
  });
});
after(() => cleanUp.disposeAsync());

describe("a token that the metadata shim asks for", { skip }, () => {
  const tokenPath = "/api/v1/namespaces/team/serviceaccounts/app/token";
  let near: { readonly name: string; readonly uid: string };
  let far: typeof near;
  let nowhere: typeof near;
  let shim: KubeConnection;
  let unbound: KubeConnection;

  const ask = (
    pod: object | undefined,
    {
      from = shim,
      audiences = [AUDIENCE],
      expirationSeconds = 600,
    }: {
      readonly from?: KubeConnection;
      readonly audiences?: readonly string[];
      readonly expirationSeconds?: number;
    } = {},
  ): Promise<Answer> =>
    send(from, tokenPath, {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        audiences,
        expirationSeconds,
        ...(pod === undefined ? {} : { boundObjectRef: { apiVersion: "v1", kind: "Pod", ...pod } }),
      },
    });

  before(async () => {
    const own = await createPod(SHIM.namespace, "shim-a", {
      node: "node-a",
      serviceAccount: SHIM.name,
    });
    const app = { serviceAccount: "app" };
    near = { name: "near", uid: await createPod("team", "near", { ...app, node: "node-a" }) };
    far = { name: "far", uid: await createPod("team", "far", { ...app, node: "node-b" }) };
    nowhere = {
      name: "nowhere",
      uid: await createPod("team", "nowhere", { ...app, node: undefined }),
    };
    const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
    const folder = join(stage.keyFile, "..");
    shim = await asShim(folder, { name: "shim-a", uid: own });
    unbound = await asShim(folder, undefined);
    await until("the fences are up", async () => {
      const [byPolicy, byWebhook] = await Promise.all([ask(undefined), ask(far)]);
      return byPolicy.status === 422 && byWebhook.status === 403;
    });
  });

  it("is made for a pod of its own node", async () => {
    const { status, message } = await ask(near);
    assert.equal(status, 201, message);
  });

  it("is not made for a pod of another node, nor for one of none", async () => {
    const denied = 'admission webhook "tokenrequests.irsa-anywhere.io" denied the request: ';
    const start = `${denied}Cannot make a token for pod `;
    assert.deepEqual(await ask(far), {
      status: 403,
      message: `${start}"team/far": it is on another node, the caller on "node-a"`,
    });
    assert.deepEqual(await ask(nowhere), {
      status: 403,
      message: `${start}"team/nowhere": it is on no node, the caller on "node-a"`,
    });
  });

  it("is not made for a pod of another UID, nor for one that is not there", async () => {
    const other = await ask({ ...near, uid: far.uid });
    assert.equal(other.status, 403);
    assert.match(other.message, /it has another UID$/);
    const gone = await ask({ name: "gone", uid: far.uid });
    assert.equal(gone.status, 403);
    assert.match(gone.message, /it does not exist$/);
  });

  it("is not made for another audience, and never for the API server", async () => {
    for (const audiences of [[], ["api"], [AUDIENCE, "api"], ["https://kubernetes.default.svc"]]) {
      const { status, message } = await ask(near, { audiences });
      assert.equal(status, 422, message);
      assert.match(message, /denied request: audiences must be one of sts\.amazonaws\.com/);
    }
  });

  it("is not made without a pod, nor for long", async () => {
    const free = await ask(undefined);
    assert.equal(free.status, 422);
    assert.match(free.message, /denied request: boundObjectRef must be a Pod with its UID/);
    const nameless = await ask({ name: near.name });
    assert.match(nameless.message, /denied request: boundObjectRef must be a Pod with its UID/);
    const long = await ask(near, { expirationSeconds: 601 });
    assert.equal(long.status, 422);
    assert.match(long.message, /denied request: expirationSeconds must be at most 600/);
  });

  it("is not made for a caller whose own token names no node", async () => {
    const { status, message } = await ask(near, { from: unbound });
    // Both fences refuse it, and either may be asked first.
    assert.ok([403, 422].includes(status), message);
    assert.match(message, /the caller's own token must name its node|its own token names no node/);
  });

  it("is nobody else's matter", async () => {
    const { status, message } = await ask(far, { from: admin, audiences: ["other"] });
    assert.equal(status, 201, message);
  });
});

describe("the pods of a node, on a real API server", { skip }, () => {
  it("are known by both addresses, proven by live reads, and waited for", async () => {
    await using stack = new AsyncDisposableStack();
    const keep = podKeeper({ nodeName: "node-a", keys: ["iam.amazonaws.com/role"] });
    const { log } = createCollectedLog();
    const options = { connection: admin, nodeName: "node-a", keep, clock: systemClock, log };
    const pods = stack.use(followNodePods(options));
    const livePods = new LivePods({ ...options, timeoutMs: 30_000 });
    await pods.whenSynced;
    const identify = createIdentifyCaller({
      pods,
      livePods,
      endpoints: [],
      waitMs: 30_000,
      clock: systemClock,
    });
    const whoIs = async (address: string): Promise<string> => {
      const connection = { remotePort: 1, localAddress: "10.1.0.1", localPort: 8181 };
      const decision = await identify(address, connection);
      return decision.status === "known" ? decision.caller.podName : decision.status;
    };
    const tell = async (name: string, phase: string, ips: readonly string[]): Promise<void> => {
      const status = { phase, podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) };
      const { status: code, body } = await admin.request({
        method: "PATCH",
        path: `/api/v1/namespaces/team/pods/${name}/status`,
        contentType: "application/merge-patch+json",
        body: JSON.stringify({ status }),
        timeoutMs: 30_000,
      });
      assert.equal(code, 200, JSON.stringify(body));
    };
    for (const [name, node] of [
      ["first", "node-a"],
      ["second", "node-a"],
      ["elsewhere", "node-b"],
    ] as const) {
      await createPod("team", name, { node, serviceAccount: "app" });
    }
    const asked = whoIs("10.1.0.2");
    await nextTurn();
    await tell("first", "Running", ["10.1.0.2", "fd00::2"]);
    assert.equal(await asked, "first");
    assert.equal(await whoIs("fd00::2"), "first");
    // Beside the watch, by what the API server selects.
    const live = await livePods.at("10.1.0.2", "10.1.0.2");
    assert.deepEqual(
      live.map(({ name }) => name),
      ["first"],
    );
    // Its address goes on to the next pod at once.
    await tell("first", "Succeeded", ["10.1.0.2", "fd00::2"]);
    await tell("second", "Running", ["10.1.0.2"]);
    assert.equal(await whoIs("10.1.0.2"), "second");
    await tell("elsewhere", "Running", ["10.1.0.9"]);
    assert.deepEqual(await livePods.at("10.1.0.9", "10.1.0.9"), []);
    assert.deepEqual(await livePods.at("10.1.0.9"), []);
  });
});
