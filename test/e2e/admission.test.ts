import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { prepareStage, type Stage } from "../../cli/demo/stage.ts";
import { listen } from "../../lib/http.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { createLogger } from "../../lib/log.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";

// What only a real API server shows: its own admission before ours, re-invocation, validation of the
// patched pod, warnings to the client, and the audit log.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";

interface StoredPod {
  readonly metadata: { readonly name: string };
  readonly spec: {
    readonly volumes: readonly { readonly name: string }[];
    readonly containers: readonly StoredContainer[];
    readonly initContainers?: readonly StoredContainer[];
  };
}
interface StoredContainer {
  readonly name: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
}

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let plane: ControlPlane;
let kube: KubeConnection;

before(async () => {
  if (skip !== false) return;
  const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(await startControlPlane({ auditLog: true }));
  kube = connect({ kubeconfig: plane.kubeconfig });
  const flags = ["--kubeconfig", plane.kubeconfig, "--host=127.0.0.1", "--port=0"];
  flags.push("--in-cluster=false");
  flags.push("--metrics-port=0", "--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
  const webhook = cleanUp.use(await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} }));
  await webhook.whenReady;
  const url = `https://127.0.0.1:${webhook.port}/mutate`;
  await post(
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    mutatingWebhookConfiguration({
      name: "irsa-anywhere",
      clientConfig: { url, caPem: stage.caPem },
    }),
  );
  await addSidecarInjector(stage);
  await createNamespace("covered", { "irsa-anywhere.io/injection": "enabled" });
  await createNamespace("plain", {});
  for (const namespace of ["covered", "plain"]) {
    await plane.createServiceAccount(namespace, "reader", { [ROLE_KEY]: ROLE });
  }
  await untilInForce();
});
after(() => cleanUp.disposeAsync());

describe("pods created through a real API server", { skip }, () => {
  it("get the identity in containers, init containers and native sidecars, once", async () => {
    const { pod } = await create("covered", {
      serviceAccountName: "reader",
      initContainers: [
        { name: "init", image: "i" },
        { name: "sidecar", image: "i", restartPolicy: "Always" },
      ],
      containers: [{ name: "app", image: "i" }],
    });
    const { containers, initContainers = [], volumes } = pod.spec;
    for (const container of [...containers, ...initContainers]) {
      assert.equal(roleOf(container), ROLE, container.name);
      assert.equal(tokenMounts(container), 1, container.name);
    }
    assert.equal(volumes.filter(({ name }) => name === "aws-iam-token").length, 1);
  });

  it("get it also in a container that a later webhook adds, by re-invocation", async () => {
    const labels = { "add-sidecar": "yes" };
    const { pod } = await create("covered", app("reader"), { labels });
    assert.deepEqual(
      pod.spec.containers.map((container) => [container.name, roleOf(container)]),
      [
        ["app", ROLE],
        ["late", ROLE],
      ],
    );
    assert.deepEqual(pod.spec.containers.map(tokenMounts), [1, 1]);
  });

  it("stay as they are in a namespace without the label", async () => {
    const { pod } = await create("plain", app("reader"));
    assert.ok(!JSON.stringify(pod).includes("AWS_"));
    assert.ok(!pod.spec.volumes.some(({ name }) => name === "aws-iam-token"));
  });

  it("get it when they come directly after their ServiceAccount", async () => {
    for (let i = 0; i < 20; i += 1) {
      await plane.createServiceAccount("covered", `fresh-${i}`, { [ROLE_KEY]: ROLE });
      const { pod } = await create("covered", app(`fresh-${i}`));
      assert.equal(roleOf(pod.spec.containers[0]), ROLE, `fresh-${i}`);
    }
  });

  it("get it when they come directly after the annotation", async () => {
    await plane.createServiceAccount("covered", "late-role");
    await sleep(500);
    await plane.admin.core.patchNamespacedServiceAccount({
      namespace: "covered",
      name: "late-role",
      body: [{ op: "add", path: "/metadata/annotations", value: { [ROLE_KEY]: ROLE } }],
    });
    const { pod } = await create("covered", app("late-role"));
    assert.equal(roleOf(pod.spec.containers[0]), ROLE);
  });

  it("are still accepted when a volume is in the way, and the client is warned", async () => {
    const { pod, warning } = await create("covered", {
      serviceAccountName: "reader",
      volumes: [{ name: "aws-iam-token", emptyDir: {} }],
      containers: [{ name: "app", image: "i" }],
    });
    assert.equal(roleOf(pod.spec.containers[0]), undefined);
    assert.match(warning, /Container \\"app\\" gets no identity/);
  });

  it("leave the reason in the audit log", async () => {
    await plane.createServiceAccount("covered", "no-role");
    const [mutated, plain] = [
      (await create("covered", app("reader"))).pod.metadata.name,
      (await create("covered", app("no-role"))).pod.metadata.name,
    ];
    const prefix = "enabled.irsa-anywhere.io";
    assert.deepEqual(await auditOf(mutated, prefix), {
      decision: "mutated",
      reason: "injected",
      "role-arn": ROLE,
    });
    assert.deepEqual(await auditOf(plain, prefix), {
      decision: "unchanged",
      reason: "no-role-arn",
    });
  });
});

function app(serviceAccountName: string): object {
  return { serviceAccountName, containers: [{ name: "app", image: "i" }] };
}

function roleOf(container: StoredContainer | undefined): string | undefined {
  return container?.env?.find(({ name }) => name === "AWS_ROLE_ARN")?.value;
}

function tokenMounts({ volumeMounts }: StoredContainer): number {
  return volumeMounts.filter(({ name }) => name === "aws-iam-token").length;
}

let podNumber = 0;

async function create(
  namespace: string,
  spec: object,
  metadata: object = {},
): Promise<{ pod: StoredPod; warning: string }> {
  podNumber += 1;
  const pod = { metadata: { name: `pod-${podNumber}`, ...metadata }, spec };
  const { body, headers } = await post(`/api/v1/namespaces/${namespace}/pods`, pod);
  return { pod: body as StoredPod, warning: headers["warning"] ?? "" };
}

async function post(
  path: string,
  object: object,
): Promise<{ body: unknown; headers: Readonly<Record<string, string>> }> {
  const answer = await kube.request({ method: "POST", path, body: object, timeoutMs: 10_000 });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer;
}

async function createNamespace(name: string, labels: object): Promise<void> {
  await post("/api/v1/namespaces", { metadata: { name, labels } });
}

/** A new webhook configuration takes a moment until it is in force; both are there when both act. */
async function untilInForce(): Promise<void> {
  const pod = {
    metadata: { generateName: "probe-", labels: { "add-sidecar": "yes" } },
    spec: app("reader"),
  };
  for (let tries = 0; tries < 100; tries += 1) {
    const { body } = await post("/api/v1/namespaces/covered/pods?dryRun=All", pod);
    const { containers } = (body as StoredPod).spec;
    if (containers.length === 2 && containers.every((c) => roleOf(c) === ROLE)) return;
    await sleep(100);
  }
  assert.fail("the webhooks were not in force within 10 s");
}

/** Another mutating webhook, called after ours, that adds a container to labelled pods. */
async function addSidecarInjector({ keyPair, caPem }: Stage): Promise<void> {
  const patch = [{ op: "add", path: "/spec/containers/-", value: { name: "late", image: "i" } }];
  const injector = express().post("/", express.json(), (req, res) => {
    const { request } = req.body as {
      request: { uid: string; object: { spec: { containers: readonly unknown[] } } };
    };
    const isDone = request.object.spec.containers.length > 1;
    const encoded = Buffer.from(JSON.stringify(patch)).toString("base64");
    const change = isDone ? {} : { patchType: "JSONPatch", patch: encoded };
    res.json({
      apiVersion: "admission.k8s.io/v1",
      kind: "AdmissionReview",
      response: { uid: request.uid, allowed: true, ...change },
    });
  });
  const options = { port: 0, host: "127.0.0.1", drainMs: 0, keyPair };
  const { port } = cleanUp.use(await listen(injector, options));
  await post("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", {
    // Webhooks are called in the order of their configurations' names.
    metadata: { name: "zz-sidecar-injector" },
    webhooks: [
      {
        name: "sidecar.example.com",
        clientConfig: {
          url: `https://127.0.0.1:${port}/`,
          caBundle: Buffer.from(caPem).toString("base64"),
        },
        objectSelector: { matchLabels: { "add-sidecar": "yes" } },
        rules: [
          { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
        ],
        sideEffects: "None",
        admissionReviewVersions: ["v1"],
      },
    ],
  });
}

/** Our annotations of the audit event of a pod's creation, without their prefix. */
async function auditOf(podName: string, prefix: string): Promise<Record<string, string>> {
  for (let tries = 0; tries < 50; tries += 1) {
    const lines = (await readFile(plane.apiServers[0].auditFile, "utf8")).split("\n");
    for (const line of lines.filter((text) => text.includes(`"${podName}"`))) {
      const event = JSON.parse(line) as { verb: string; annotations?: Record<string, string> };
      if (event.verb !== "create") continue;
      const ours = Object.entries(event.annotations ?? {}).filter(([key]) =>
        key.startsWith(`${prefix}/`),
      );
      return Object.fromEntries(ours.map(([key, value]) => [key.slice(prefix.length + 1), value]));
    }
    await sleep(100);
  }
  return assert.fail(`no audit event for ${podName} within 5 s`);
}
