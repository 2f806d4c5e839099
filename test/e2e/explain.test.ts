import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Readable, Writable } from "node:stream";
import { Command, CommanderError } from "commander";
import { addExplain } from "../../cli/commands/explain.ts";
import { prepareStage } from "../../cli/demo/stage.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { createLogger } from "../../lib/log.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";

// Pods without a working identity, each for another reason, and one with: what a user of
// `irsa explain` reads about them, word for word, on a real API server. The texts are the files in
// explanations/, with TIME and PORT for what changes.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
const RBAC = "/apis/rbac.authorization.k8s.io/v1/namespaces/team";
const TEXTS = new URL("explanations/", import.meta.url);

interface Explained {
  readonly status: number;
  readonly text: string;
}

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
/** By the name of its text. */
const explained = new Map<string, Explained>();
let plane: ControlPlane;
let kube: KubeConnection;

before(async () => {
  if (skip !== false) return;
  const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  const otherStage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(await startControlPlane());
  kube = connect({ kubeconfig: plane.kubeconfig });
  const flags = ["--kubeconfig", plane.kubeconfig, "--host=127.0.0.1", "--port=0"];
  flags.push("--in-cluster=false", "--metrics-port=0");
  flags.push("--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
  const webhook = cleanUp.use(await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} }));
  await webhook.whenReady;
  const configured = (caPem: string): object =>
    mutatingWebhookConfiguration({
      name: "irsa-anywhere",
      clientConfig: { url: `https://127.0.0.1:${webhook.port}`, caPem },
    });
  await post(CONFIGURATIONS, configured(stage.caPem));
  await createNamespace("team", { "irsa-anywhere.io/injection": "enabled" });
  await createNamespace("plain", {});
  await plane.createServiceAccount("team", "reader", { [ROLE_KEY]: ROLE });
  await plane.createServiceAccount("plain", "reader", { [ROLE_KEY]: ROLE });
  await untilPodsGetRole(true);

  await createPods();
  for (const pod of MADE_WITH_WEBHOOK) await note(pod);
  await noteWithShim();
  await allowPodsOnly("visitor");
  const { kubeconfig } = await plane.asServiceAccount("team", "visitor");
  explained.set("no-rights", await explain("team/fine", kubeconfig));
  explained.set("absent", await explain("team/absent"));

  await merge(`${CONFIGURATIONS}/irsa-anywhere`, configured(otherStage.caPem));
  await untilPodsGetRole(false);
  await createPod("team/untrusted");
  await note("team/untrusted");

  await merge(`${CONFIGURATIONS}/irsa-anywhere`, configured(stage.caPem));
  await untilPodsGetRole(true);
  await webhook[Symbol.asyncDispose]();
  await createPod("team/unreached");
  await note("team/unreached");
});
after(() => cleanUp.disposeAsync());

const MADE_WITH_WEBHOOK = [
  "team/fine",
  "plain/unlabelled",
  "team/opted-out",
  "team/misspelt",
  "team/malformed",
  "team/early",
  "team/taken",
  "team/keys",
  "team/unreadable",
] as const;

async function createPods(): Promise<void> {
  await createPod("team/fine");
  await createPod("plain/unlabelled");
  await createPod("team/opted-out", { labels: { "irsa-anywhere.io/injection": "disabled" } });
  await plane.createServiceAccount("team", "misspelt", { "eks.amazon.com/role-arn": ROLE });
  await createPod("team/misspelt", { account: "misspelt" });
  const malformed = "arn:aws:iam::1111:role/reader";
  await plane.createServiceAccount("team", "malformed", { [ROLE_KEY]: malformed });
  await createPod("team/malformed", { account: "malformed" });
  // The API server notes no times of changes to an object that was created with nothing in it.
  await plane.createServiceAccount("team", "late", { owner: "team" });
  await createPod("team/early", { account: "late" });
  await createPod("team/taken", { spec: { volumes: [{ name: "aws-iam-token", emptyDir: {} }] } });
  const env = [{ name: "AWS_ACCESS_KEY_ID", value: "AKIDEXAMPLE" }];
  await createPod("team/keys", { spec: { containers: [{ name: "app", image: "i", env }] } });
  await createPod("team/unreadable", { spec: TOKEN_FOR_ROOT });
  // Times of the API server are whole seconds.
  await sleep(1100);
  const annotations = { [ROLE_KEY]: ROLE };
  await merge("/api/v1/namespaces/team/serviceaccounts/late", { metadata: { annotations } });
}

/** A pod of kube2iam's, where a DaemonSet runs the metadata shim in its place. */
async function noteWithShim(): Promise<void> {
  const annotations = { "iam.amazonaws.com/role": "legacy" };
  await createPod("plain/annotated", { annotations });
  const daemonSets = "/apis/apps/v1/namespaces/plain/daemonsets";
  const labels = { app: "shim" };
  const args = ["shim", "--profile=kube2iam", "--base-role-arn=arn:aws:iam::111122223333:role/"];
  await post(daemonSets, {
    metadata: { name: "irsa-shim" },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { containers: [{ name: "shim", image: "i", args }] },
      },
    },
  });
  await note("plain/annotated");
  const path = `${daemonSets}/irsa-shim`;
  const { status } = await kube.request({ method: "DELETE", path, timeoutMs: 10_000 });
  assert.equal(status, 200);
}

/** A token of the template's own that only root may read, for two containers that differ in user. */
const TOKEN_FOR_ROOT = {
  volumes: [
    {
      name: "aws-iam-token",
      projected: {
        defaultMode: 0o400,
        sources: [{ serviceAccountToken: { audience: "sts.amazonaws.com", path: "token" } }],
      },
    },
  ],
  containers: [
    { name: "app", image: "i", securityContext: { runAsUser: 1000 } },
    { name: "log", image: "i" },
  ],
};

describe("irsa explain", { skip }, () => {
  const statuses: Readonly<Record<string, number>> = {
    fine: 0,
    unlabelled: 1,
    annotated: 0,
    "opted-out": 1,
    misspelt: 1,
    malformed: 1,
    early: 1,
    taken: 1,
    keys: 1,
    unreadable: 1,
    untrusted: 1,
    unreached: 1,
    "no-rights": 0,
    absent: 2,
  };
  for (const [name, status] of Object.entries(statuses)) {
    it(`${name}: exit status ${status}`, async () => {
      const expected = await readFile(new URL(`${name}.txt`, TEXTS), "utf8");
      assert.equal(stable(explained.get(name)?.text ?? ""), expected);
      assert.equal(explained.get(name)?.status, status);
    });
  }

  it("prints the same as JSON", async () => {
    const { status, text } = await explain("plain/unlabelled", plane.kubeconfig, "--json");
    const { fine, steps } = JSON.parse(text) as {
      readonly fine: boolean;
      readonly steps: readonly { readonly id: string; readonly status: string }[];
    };
    assert.equal(status, 1);
    assert.equal(fine, false);
    assert.deepEqual(steps.map((step) => [step.id, step.status]).slice(0, 3), [
      ["namespace-label", "problem"],
      ["tier", "note"],
      ["configuration", "ok"],
    ]);
  });
});

/** Without what is another with every run. */
function stable(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME")
    .replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT");
}

async function note(pod: string): Promise<void> {
  const [, name = ""] = pod.split("/");
  explained.set(name, await explain(pod));
}

async function explain(
  pod: string,
  kubeconfig = plane.kubeconfig,
  ...flags: readonly string[]
): Promise<Explained> {
  const chunks: string[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  const irsa = new Command("irsa").exitOverride();
  addExplain(irsa, {
    env: { KUBECONFIG: kubeconfig },
    stdin: Readable.from([]),
    stdout: output,
    stderr: output,
    signal: new AbortController().signal,
  });
  try {
    await irsa.parseAsync(["explain", "pod", pod, ...flags], { from: "user" });
    return { status: 0, text: chunks.join("") };
  } catch (err) {
    if (!(err instanceof CommanderError)) throw err;
    return { status: err.exitCode, text: chunks.join("") };
  }
}

async function createPod(
  place: string,
  {
    account = "reader",
    labels = {},
    annotations = {},
    spec = {},
  }: {
    readonly account?: string;
    readonly labels?: object;
    readonly annotations?: object;
    readonly spec?: object;
  } = {},
): Promise<void> {
  const [namespace, name] = place.split("/");
  await post(`/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name, labels, annotations },
    spec: { serviceAccountName: account, containers: [{ name: "app", image: "i" }], ...spec },
  });
}

/** A user who may read pods, and nothing else that matters here. */
async function allowPodsOnly(name: string): Promise<void> {
  await plane.createServiceAccount("team", name);
  const rules = [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }];
  await post(`${RBAC}/roles`, { metadata: { name }, rules });
  await post(`${RBAC}/rolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [{ kind: "ServiceAccount", name, namespace: "team" }],
  });
}

async function post(path: string, body: object): Promise<unknown> {
  const answer = await kube.request({ method: "POST", path, body, timeoutMs: 10_000 });
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
  return answer.body;
}

async function merge(path: string, body: object): Promise<void> {
  const contentType = "application/merge-patch+json";
  const request = { method: "PATCH", path, contentType, body, timeoutMs: 10_000 };
  const answer = await kube.request(request);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function createNamespace(name: string, labels: object): Promise<void> {
  await post("/api/v1/namespaces", { metadata: { name, labels } });
}

/** A change of the webhook configuration takes a moment until it is in force. */
async function untilPodsGetRole(expected: boolean): Promise<void> {
  const pod = {
    metadata: { generateName: "probe-" },
    spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }] },
  };
  for (let tries = 0; tries < 300; tries += 1) {
    const body = await post("/api/v1/namespaces/team/pods?dryRun=All", pod);
    if (JSON.stringify(body).includes(ROLE) === expected) return;
    await sleep(100);
  }
  assert.fail("the webhook configuration was not in force within 30 s");
}
