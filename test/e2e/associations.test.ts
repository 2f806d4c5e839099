import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { prepareStage } from "../../cli/demo/stage.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { createCollectedLog } from "../fakes/collected-log.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";

// What a real API server makes of pods whose identity comes from elsewhere than an annotation, and of
// the containers that kubectl debug adds to them.

const CONFIG_MAPS = "/api/v1/namespaces/eks/configmaps";
const PODS = "/api/v1/namespaces/team/pods";
const role = (name: string): string => `arn:aws:iam::111122223333:role/${name}`;

interface StoredPod {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly StoredContainer[];
    readonly ephemeralContainers?: readonly StoredContainer[];
  };
}
interface StoredContainer {
  readonly name: string;
  readonly env?: readonly {
    readonly name: string;
    readonly value?: string;
    readonly valueFrom?: { readonly fieldRef?: { readonly fieldPath: string } };
  }[];
  readonly volumeMounts?: readonly { readonly name: string }[];
}

const cleanUp = new AsyncDisposableStack();
const skip = (await missingComponents(process.env)) ?? false;
let plane: ControlPlane;
let kube: KubeConnection;

before(async () => {
  if (skip !== false) return;
  const stage = cleanUp.use(await prepareStage(["127.0.0.1"], Date.now()));
  plane = cleanUp.use(await startControlPlane());
  kube = connect({ kubeconfig: plane.kubeconfig });
  await send("POST", "/api/v1/namespaces", { metadata: { name: "eks" } });
  await send("POST", "/api/v1/namespaces", {
    metadata: { name: "team", labels: { "irsa-anywhere.io/injection": "enabled" } },
  });
  for (const name of ["mapped", "agent"]) await plane.createServiceAccount("team", name);
  const file = join(stage.folder, "identities.json");
  const identities = [{ namespace: "team", serviceAccount: "agent" }];
  await writeFile(file, JSON.stringify({ identities }));
  const flags = ["--kubeconfig", plane.kubeconfig, "--host=127.0.0.1", "--port=0"];
  flags.push("--metrics-port=0", "--in-cluster=false");
  flags.push("--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  flags.push("--watch-config-map", `--watch-container-credentials-config=${file}`);
  flags.push("--role-session-name", "--disable-ec2-metadata");
  const { log } = createCollectedLog();
  const webhook = cleanUp.use(await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} }));
  await webhook.whenReady;
  const clientConfig = { url: `https://127.0.0.1:${webhook.port}`, caPem: stage.caPem };
  await send(
    "POST",
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    mutatingWebhookConfiguration({ name: "irsa-anywhere", clientConfig }),
  );
  // A new webhook configuration takes a moment until it is in force.
  await becomes(
    "agent",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "http://169.254.170.23/v1/credentials",
  );
});
after(() => cleanUp.disposeAsync());

describe("pods whose identity is configured elsewhere", { skip }, () => {
  it("follow the ConfigMap as it is made, changed for the worse, mended, and deleted", async () => {
    const put = (method: "POST" | "PUT", config: string): Promise<unknown> =>
      send(method, method === "POST" ? CONFIG_MAPS : `${CONFIG_MAPS}/pod-identity-webhook`, {
        metadata: { name: "pod-identity-webhook" },
        data: { config },
      });
    assert.equal(valueOf(await create("mapped"), "AWS_ROLE_ARN"), undefined);
    await put("POST", JSON.stringify({ "te*/map*": { RoleARN: role("first") } }));
    await becomes("mapped", "AWS_ROLE_ARN", role("first"));
    await put("PUT", '{"mapped": null}');
    await put("PUT", JSON.stringify({ "team/mapped": { RoleARN: role("second") } }));
    await becomes("mapped", "AWS_ROLE_ARN", role("second"));
    await send("DELETE", `${CONFIG_MAPS}/pod-identity-webhook`);
    await becomes("mapped", "AWS_ROLE_ARN", undefined);
    await put("POST", JSON.stringify({ "*/*": { RoleARN: role("third") } }));
    await becomes("mapped", "AWS_ROLE_ARN", role("third"));
  });

  it("get container credentials with their label", async () => {
    const pod = await create("agent");
    assert.equal(pod.metadata.labels?.["eks.amazonaws.com/pod-identity"], "enabled");
    assert.equal(valueOf(pod, "AWS_ROLE_ARN"), undefined);
    assert.deepEqual(
      pod.spec.containers[0]?.volumeMounts?.map(({ name }) => name),
      ["eks-pod-identity-token"],
    );
  });

  it("have a session of their own name, also when that comes after admission", async () => {
    const generated = await create("mapped", { generateName: "web-" });
    const variable = generated.spec.containers[0]?.env?.find(
      ({ name }) => name === "AWS_ROLE_SESSION_NAME",
    );
    assert.equal(variable?.valueFrom?.fieldRef?.fieldPath, "metadata.name");
    const named = await create("mapped", { name: "web-0" });
    assert.equal(valueOf(named, "AWS_ROLE_SESSION_NAME"), "web-0");
  });

  it("get the identity in a container that kubectl debug adds", async () => {
    for (const [name, variable] of [
      ["mapped", "AWS_ROLE_ARN"],
      ["agent", "AWS_CONTAINER_CREDENTIALS_FULL_URI"],
    ] as const) {
      await create(name, { name: `debugged-${name}` });
      for (const container of ["first", "second"]) {
        const pod = await debug(`debugged-${name}`, container);
        const added = pod.spec.ephemeralContainers?.find((one) => one.name === container);
        const names = added?.env?.map((one) => one.name) ?? [];
        assert.ok(names.includes(variable));
        assert.ok(names.includes("AWS_EC2_METADATA_DISABLED"));
        assert.equal(added?.volumeMounts?.length, 1);
      }
    }
  });

  it("can be debugged also when they opted out", async () => {
    await plane.createServiceAccount("team", "late");
    const metadata = { name: "plain", labels: { "irsa-anywhere.io/injection": "disabled" } };
    await create("late", metadata);
    const added = (await debug("plain", "first")).spec.ephemeralContainers?.[0];
    assert.equal(added?.name, "first");
    assert.equal(added.volumeMounts, undefined);
  });
});

let podNumber = 0;

async function create(serviceAccountName: string, metadata: object = {}): Promise<StoredPod> {
  podNumber += 1;
  const name = "generateName" in metadata ? {} : { name: `pod-${podNumber}` };
  const spec = { serviceAccountName, containers: [{ name: "app", image: "i" }] };
  const automount = { ...spec, automountServiceAccountToken: false };
  return (await send("POST", PODS, {
    metadata: { ...name, ...metadata },
    spec: automount,
  })) as StoredPod;
}

/** What `kubectl debug` sends: the pod with one more ephemeral container. */
async function debug(podName: string, container: string): Promise<StoredPod> {
  const pod = (await send("GET", `${PODS}/${podName}`)) as StoredPod;
  const { ephemeralContainers = [] } = pod.spec;
  const added = [...ephemeralContainers, { name: container, image: "i" }];
  const changed = { ...pod, spec: { ...pod.spec, ephemeralContainers: added } };
  return (await send("PUT", `${PODS}/${podName}/ephemeralcontainers`, changed)) as StoredPod;
}

function valueOf(pod: StoredPod, variable: string): string | undefined {
  return pod.spec.containers[0]?.env?.find(({ name }) => name === variable)?.value;
}

/** Waits until new pods of a ServiceAccount have a variable with this value. */
async function becomes(
  serviceAccount: string,
  variable: string,
  wanted: string | undefined,
): Promise<void> {
  for (let tries = 0; tries < 300; tries += 1) {
    if (valueOf(await create(serviceAccount), variable) === wanted) return;
    await sleep(100);
  }
  assert.fail(`${variable} of ${serviceAccount} did not become ${wanted} within 30 s`);
}

async function send(
  method: "GET" | "POST" | "PUT" | "DELETE",
  path: string,
  body?: object,
): Promise<unknown> {
  const answer = await kube.request({ method, path, body, timeoutMs: 10_000 });
  assert.ok([200, 201].includes(answer.status), JSON.stringify(answer.body));
  return answer.body;
}
