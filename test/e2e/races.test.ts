import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { prepareStage } from "../../cli/demo/stage.ts";
import { connect, type KubeAnswer, type KubeConnection } from "../../lib/kube/connection.ts";
import { createLogger } from "../../lib/log.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { forEachBounded } from "../fakes/for-each-bounded.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane } from "../kubernetes/control-plane.ts";

// A pod created together with its ServiceAccount, or directly after its annotation, gets its
// identity, however far the webhook's own copy is behind the API server at that moment.

const PAIRS = 1000;
const CONCURRENCY = 32;
const NAMESPACE = "covered";
const ROLE = "arn:aws:iam::111122223333:role/reader";
const ANNOTATIONS = { "eks.amazonaws.com/role-arn": ROLE };
const ACCOUNTS = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`;
const PODS = `/api/v1/namespaces/${NAMESPACE}/pods`;
const TIMEOUT_MS = 30_000;

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let kube: KubeConnection;

before(async () => {
  if (skip !== false) return;
  const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  // No queue and no limit of its own shall slow the API server down.
  const unlimited = ["--max-requests-inflight=0", "--max-mutating-requests-inflight=0"];
  const flags = ["--enable-priority-and-fairness=false", ...unlimited];
  const plane = cleanUp.use(await startControlPlane({ flags }));
  kube = connect({ kubeconfig: plane.kubeconfig });
  const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
  const args = ["--kubeconfig", plane.kubeconfig, "--host=127.0.0.1", "--port=0"];
  args.push("--in-cluster=false", "--metrics-port=0");
  args.push("--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  // An API server that takes longer, on a machine that does other things too, is another matter.
  args.push("--service-account-lookup-grace-period=4s");
  const webhook = cleanUp.use(await startWebhook(webhookConfig.parse(args, {}), { log, env: {} }));
  await webhook.whenReady;
  const labels = { "irsa-anywhere.io/injection": "enabled" };
  await post("/api/v1/namespaces", { metadata: { name: NAMESPACE, labels } });
  const url = `https://127.0.0.1:${webhook.port}/mutate`;
  await post(
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    mutatingWebhookConfiguration({
      name: "irsa-anywhere",
      clientConfig: { url, caPem: stage.caPem },
    }),
  );
  await post(ACCOUNTS, { metadata: { name: "probe", annotations: ANNOTATIONS } });
  await untilInForce();
});
after(() => cleanUp.disposeAsync());

describe(`${PAIRS} pods at full speed`, { skip }, () => {
  it("get the role of a ServiceAccount that is created in the same instant", async () => {
    const mutated = await countMutated(async (number) => {
      const name = `pair-${number}`;
      const [, pod] = await Promise.all([
        post(ACCOUNTS, { metadata: { name, annotations: ANNOTATIONS } }),
        createPodOnceAllowed(name),
      ]);
      return pod;
    });
    assert.equal(mutated, PAIRS);
  });

  it("get the role that is annotated directly before, also when one has just come without", async () => {
    await forEachBounded(PAIRS, CONCURRENCY, (number) =>
      post(ACCOUNTS, { metadata: { name: `late-${number}` } }),
    );
    const mutated = await countMutated(async (number) => {
      const name = `late-${number}`;
      // Whatever is learned about the ServiceAccount here is wrong a moment later.
      assert.ok(!hasRole(await post(`${PODS}?dryRun=All`, podOf(name))), name);
      await annotate(name);
      return post(PODS, podOf(name));
    });
    assert.equal(mutated, PAIRS);
  });
});

async function countMutated(create: (number: number) => Promise<unknown>): Promise<number> {
  let mutated = 0;
  await forEachBounded(PAIRS, CONCURRENCY, async (number) => {
    if (hasRole(await create(number))) mutated += 1;
  });
  return mutated;
}

/** Kubernetes itself refuses a pod (403) until the ServiceAccount is there; then it is sent again. */
async function createPodOnceAllowed(name: string): Promise<unknown> {
  const untilMs = Date.now() + TIMEOUT_MS;
  for (;;) {
    const { status, body } = await send("POST", PODS, podOf(name));
    if (status === 201) return body;
    assert.equal(status, 403, JSON.stringify(body));
    assert.ok(Date.now() < untilMs, `no pod of ${name} was accepted within ${TIMEOUT_MS} ms`);
  }
}

async function annotate(name: string): Promise<void> {
  const patch = { metadata: { annotations: ANNOTATIONS } };
  const contentType = "application/merge-patch+json";
  const { status, body } = await send("PATCH", `${ACCOUNTS}/${name}`, patch, contentType);
  assert.equal(status, 200, JSON.stringify(body));
}

async function post(path: string, object: object): Promise<unknown> {
  const { status, body } = await send("POST", path, object);
  assert.equal(status, 201, JSON.stringify(body));
  return body;
}

function send(
  method: string,
  path: string,
  body: object,
  contentType = "application/json",
): Promise<KubeAnswer> {
  return kube.request({ method, path, body, contentType, timeoutMs: TIMEOUT_MS });
}

function podOf(name: string): object {
  return {
    metadata: { name },
    spec: { serviceAccountName: name, containers: [{ name: "app", image: "i" }] },
  };
}

interface StoredPod {
  readonly spec: {
    readonly containers: readonly {
      readonly env?: readonly { readonly name: string; readonly value?: string }[];
    }[];
  };
}

function hasRole(pod: unknown): boolean {
  const { containers } = (pod as StoredPod).spec;
  return containers.every(({ env = [] }) =>
    env.some(({ name, value }) => name === "AWS_ROLE_ARN" && value === ROLE),
  );
}

/** A new webhook configuration takes a moment until it is in force. */
async function untilInForce(): Promise<void> {
  const untilMs = Date.now() + TIMEOUT_MS;
  while (!hasRole(await post(`${PODS}?dryRun=All`, podOf("probe")))) {
    assert.ok(Date.now() < untilMs, `the webhook was not in force within ${TIMEOUT_MS} ms`);
  }
}
