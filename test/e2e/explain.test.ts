import assert from "node:assert/strict";
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
import { mutatingWebhookConfiguration } from "../../webhook/webhook-configurations.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";

// Eight pods without a working identity, each for another reason, and one with: what a user of
// `irsa explain` reads about them, word for word, on a real API server.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let plane: ControlPlane;
let kube: KubeConnection;

before(async () => {
  if (skip !== false) return;
  const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(await startControlPlane());
  kube = connect({ kubeconfig: plane.kubeconfig });
  const flags = ["--kubeconfig", plane.kubeconfig, "--host=127.0.0.1", "--port=0"];
  flags.push("--in-cluster=false", "--metrics-port=0");
  flags.push("--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
  await using webhook = await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} });
  await webhook.whenReady;
  const url = `https://127.0.0.1:${webhook.port}`;
  await post(
    CONFIGURATIONS,
    mutatingWebhookConfiguration({
      name: "irsa-anywhere",
      clientConfig: { url, caPem: stage.caPem },
    }),
  );
  await createNamespace("team", { "irsa-anywhere.io/injection": "enabled" });
  await createNamespace("plain", {});
  await plane.createServiceAccount("team", "reader", { [ROLE_KEY]: ROLE });
  await plane.createServiceAccount("plain", "reader", { [ROLE_KEY]: ROLE });
  await untilInForce();
  await createPods();
  // Here the webhook stops; what follows is said about a cluster without it.
});
after(() => cleanUp.disposeAsync());

async function createPods(): Promise<void> {
  await createPod("team/fine", {});
  await createPod("plain/unlabelled", {});
}

describe("irsa explain", { skip }, () => {
  const cases = [
    [
      "team/fine",
      0,
      /^✔ Pod team\/fine has the AWS identity arn:aws:iam::111122223333:role\/reader\.$/m,
    ],
    ["plain/unlabelled", 1, /^✘ Pod plain\/unlabelled .*: Namespace label: no irsa-anywhere/m],
    ["team/absent", 2, /^irsa: Cannot read pod team\/absent: .*not found/],
    ["fine", 2, /^irsa: Cannot explain pod "fine": expected NAMESPACE\/NAME$/m],
  ] as const;
  for (const [pod, status, says] of cases) {
    it(`${pod}: ${status}`, async () => {
      const explained = await explain(pod);
      assert.match(explained.text, says);
      assert.equal(explained.status, status);
    });
  }
});

async function explain(pod: string): Promise<{ status: number; text: string }> {
  const chunks: string[] = [];
  const output = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  const irsa = new Command("irsa").exitOverride();
  addExplain(irsa, {
    env: { KUBECONFIG: plane.kubeconfig },
    stdin: Readable.from([]),
    stdout: output,
    stderr: output,
    signal: new AbortController().signal,
  });
  let status = 0;
  try {
    await irsa.parseAsync(["explain", "pod", pod], { from: "user" });
  } catch (err) {
    if (!(err instanceof CommanderError)) throw err;
    status = err.exitCode;
  }
  return { status, text: chunks.join("") };
}

async function createPod(
  place: string,
  { metadata = {}, spec = {} }: { metadata?: object; spec?: object },
): Promise<void> {
  const [namespace, name] = place.split("/");
  await post(`/api/v1/namespaces/${namespace}/pods`, {
    metadata: { name, ...metadata },
    spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }], ...spec },
  });
}

async function post(path: string, object: object): Promise<unknown> {
  const { status, body } = await kube.request({
    method: "POST",
    path,
    body: object,
    timeoutMs: 10_000,
  });
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

async function createNamespace(name: string, labels: object): Promise<void> {
  await post("/api/v1/namespaces", { metadata: { name, labels } });
}

/** A new webhook configuration takes a moment until it is in force. */
async function untilInForce(): Promise<void> {
  const pod = {
    metadata: { generateName: "probe-" },
    spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }] },
  };
  for (let tries = 0; tries < 300; tries += 1) {
    const body = await post("/api/v1/namespaces/team/pods?dryRun=All", pod);
    if (JSON.stringify(body).includes(ROLE)) return;
    await sleep(100);
  }
  assert.fail("the webhook was not in force within 30 s");
}
