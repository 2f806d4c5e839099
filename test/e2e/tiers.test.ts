import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { prepareStage } from "../../cli/demo/stage.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { createLogger } from "../../lib/log.ts";
import { webhookConfig } from "../../webhook/config.ts";
import { startWebhook, type RunningWebhook } from "../../webhook/main.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { until } from "../fakes/until.ts";
import { missingComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";

// What the two tiers come to on a real API server, with the webhook there and with the webhook down.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const ROLE_KEY = "eks.amazonaws.com/role-arn";
const LABEL = "irsa-anywhere.io/injection";
const skip = (await missingComponents(process.env)) ?? false;

interface Answer {
  readonly status: number;
  readonly warning: string;
  /** What the API server says when it refuses. */
  readonly message: string;
  readonly env: Readonly<Record<string, string>>;
  readonly audience: string | undefined;
}

interface Cluster extends AsyncDisposable {
  readonly plane: ControlPlane;
  readonly webhook: RunningWebhook;
  create(path: string, object: object): Promise<Answer>;
  /** A namespace with its ServiceAccount `reader`, which has a role. */
  addNamespace(name: string, labels: object, annotations?: object): Promise<void>;
  setLabel(namespace: string, label: string): Promise<void>;
  /** @param pod Metadata, and fields of the spec beside its one container. */
  createPod(
    namespace: string,
    pod?: { readonly metadata?: object; readonly spec?: object },
    query?: string,
  ): Promise<Answer>;
}

async function startCluster(allNamespaces: boolean): Promise<Cluster> {
  await using stack = new AsyncDisposableStack();
  const stage = stack.use(await prepareStage(["127.0.0.1"], Date.now()));
  const plane = stack.use(await startControlPlane());
  const kube: KubeConnection = connect({ kubeconfig: plane.kubeconfig });
  const flags = [
    "--in-cluster=false",
    "--kubeconfig",
    plane.kubeconfig,
    "--host=127.0.0.1",
    "--port=0",
  ];
  flags.push("--metrics-port=0", "--tls-cert", stage.certFile, "--tls-key", stage.keyFile);
  const log = createLogger({ level: "error", service: "e2e" }, process.stderr);
  const webhook = stack.use(await startWebhook(webhookConfig.parse(flags, {}), { log, env: {} }));
  await webhook.whenReady;

  let pods = 0;
  const create = async (path: string, body: object): Promise<Answer> => {
    const answer = await kube.request({ method: "POST", path, body, timeoutMs: 30_000 });
    return answerOf(answer.status, answer.body as StoredPod, answer.headers["warning"] ?? "");
  };
  const createPod: Cluster["createPod"] = (namespace, { metadata, spec } = {}, query = "") => {
    pods += 1;
    return create(`/api/v1/namespaces/${namespace}/pods${query}`, {
      metadata: { name: `pod-${pods}`, ...metadata },
      spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }], ...spec },
    });
  };
  const addNamespace: Cluster["addNamespace"] = async (name, labels, annotations = {}) => {
    const { status } = await create("/api/v1/namespaces", {
      metadata: { name, labels, annotations },
    });
    assert.equal(status, 201);
    await plane.createServiceAccount(name, "reader", { [ROLE_KEY]: ROLE });
  };
  const configuration = mutatingWebhookConfiguration({
    name: "irsa-anywhere",
    clientConfig: { url: `https://127.0.0.1:${webhook.port}`, caPem: stage.caPem },
    allNamespaces,
    exemptNamespaces: ["irsa-system"],
  });
  const { status } = await create(
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    configuration,
  );
  assert.equal(status, 201);
  await addNamespace("open", { [LABEL]: "enabled" });
  await addNamespace("strict", { [LABEL]: "required" });
  await until("the webhooks are in force", async () => {
    const { env } = await createPod("open", {}, "?dryRun=All");
    return env["AWS_ROLE_ARN"] === ROLE;
  });
  const running = stack.move();
  return {
    plane,
    webhook,
    create,
    addNamespace,
    async setLabel(name, value) {
      const path = `/metadata/labels/${LABEL.replace("/", "~1")}`;
      await plane.admin.core.patchNamespace({ name, body: [{ op: "add", path, value }] });
    },
    createPod,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

interface StoredPod {
  readonly message?: string;
  readonly spec?: {
    readonly containers?: readonly {
      readonly env?: readonly { readonly name: string; readonly value: string }[];
    }[];
    readonly volumes?: readonly {
      readonly name: string;
      readonly projected?: {
        readonly sources: readonly { readonly serviceAccountToken?: { audience: string } }[];
      };
    }[];
  };
}

function answerOf(status: number, { message = "", spec }: StoredPod, warning: string): Answer {
  const volume = spec?.volumes?.find(({ name }) => name === "aws-iam-token");
  return {
    status,
    warning,
    message,
    env: Object.fromEntries((spec?.containers?.[0]?.env ?? []).map((e) => [e.name, e.value])),
    audience: volume?.projected?.sources[0]?.serviceAccountToken?.audience,
  };
}

const REFUSED =
  'admission webhook "required.irsa-anywhere.io" denied the request: ' +
  "Pod refused, since its namespace has irsa-anywhere.io/injection=required: ";

describe("with the webhook there", { skip }, () => {
  let cluster: Cluster;
  before(async () => {
    if (skip === false) cluster = await startCluster(true);
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  it("pods get their identity in both tiers, and in namespaces without the label where all are covered", async () => {
    await cluster.addNamespace("plain", {});
    for (const namespace of ["open", "strict", "plain"]) {
      const { status, env, warning } = await cluster.createPod(namespace);
      assert.deepEqual([status, env["AWS_ROLE_ARN"], warning], [201, ROLE, ""], namespace);
    }
  });

  it("pods are left alone by the label of their namespace, or of themselves", async () => {
    await cluster.addNamespace("left", { [LABEL]: "disabled" });
    const labels = { [LABEL]: "disabled" };
    const own = { "eks.amazonaws.com/skip-pod-identity-webhook": "" };
    for (const answer of [
      await cluster.createPod("left"),
      await cluster.createPod("strict", { metadata: { name: "left-1", labels } }),
      await cluster.createPod("open", { metadata: { name: "left-2", labels: own } }),
    ]) {
      assert.deepEqual([answer.status, answer.env], [201, {}]);
    }
  });

  for (const [name, pod, roleArn, reason, warning] of [
    [
      "a role that is no ARN",
      {},
      "reader",
      `ServiceAccount annotation ${ROLE_KEY} "reader" is a name: write arn:aws:iam::ACCOUNT:role/reader`,
      /used as is: expected arn:aws:iam::ACCOUNT:role\/NAME/,
    ],
    [
      "a volume in the way",
      { spec: { volumes: [{ name: "aws-iam-token", emptyDir: {} }] } },
      ROLE,
      'Container "app" gets no identity: volume "aws-iam-token" is no token for "sts.amazonaws.com": ' +
        "rename or remove it, or name the container in the annotation eks.amazonaws.com/skip-containers",
      /Container \\"app\\" gets no identity/,
    ],
    [
      "a role that its namespace does not allow",
      {},
      "arn:aws:iam::111122223333:role/other",
      "role arn:aws:iam::111122223333:role/other is not in the namespace's " +
        `irsa-anywhere.io/allowed-roles: use one of ${ROLE}, or have it added there`,
      /Pod gets no AWS identity: role .* is not in the namespace's/,
    ],
  ] as const) {
    it(`a pod with ${name} is refused where identity is required, and only warned of elsewhere`, async () => {
      const slug = name.toLowerCase().replaceAll(" ", "-");
      const policy = name.includes("allow")
        ? { "irsa-anywhere.io/allowed-roles": JSON.stringify([ROLE]) }
        : {};
      await cluster.addNamespace(`strict-${slug}`, { [LABEL]: "required" }, policy);
      await cluster.addNamespace(`open-${slug}`, { [LABEL]: "enabled" }, policy);
      for (const tier of ["strict", "open"]) {
        await cluster.plane.createServiceAccount(`${tier}-${slug}`, "app", {
          [ROLE_KEY]: roleArn,
        });
      }
      const own = { ...pod, spec: { serviceAccountName: "app", ...("spec" in pod && pod.spec) } };
      const refused = await cluster.createPod(`strict-${slug}`, own);
      assert.deepEqual([refused.status, refused.message], [403, REFUSED + reason]);
      const passed = await cluster.createPod(`open-${slug}`, own);
      assert.equal(passed.status, 201);
      assert.match(passed.warning, warning);
    });
  }

  it("a pod whose ServiceAccount has no role passes in both tiers", async () => {
    for (const namespace of ["open", "strict"]) {
      await cluster.plane.createServiceAccount(namespace, "no-role");
      const spec = { serviceAccountName: "no-role" };
      const { status, env, warning } = await cluster.createPod(namespace, { spec });
      assert.deepEqual([status, env, warning], [201, {}, ""]);
    }
  });

  it("the namespace gives role, region and audience, also to pods that come directly after it", async () => {
    for (let i = 0; i < 10; i += 1) {
      const name = `fresh-${i}`;
      const { status } = await cluster.create("/api/v1/namespaces", {
        metadata: {
          name,
          labels: { [LABEL]: "required" },
          annotations: {
            "irsa-anywhere.io/default-role": ROLE,
            "irsa-anywhere.io/default-region": "eu-central-1",
            "irsa-anywhere.io/default-audience": "sts.example.com",
          },
        },
      });
      assert.equal(status, 201);
      await cluster.plane.createServiceAccount(name, "reader");
      const { env, audience } = await cluster.createPod(name);
      assert.deepEqual(
        [env["AWS_ROLE_ARN"], env["AWS_REGION"], audience],
        [ROLE, "eu-central-1", "sts.example.com"],
        name,
      );
    }
  });

  it("a changed policy is followed", async () => {
    await cluster.addNamespace("changing", { [LABEL]: "required" });
    assert.equal((await cluster.createPod("changing")).status, 201);
    await cluster.plane.admin.core.patchNamespace({
      name: "changing",
      body: [
        {
          op: "add",
          path: "/metadata/annotations",
          value: { "irsa-anywhere.io/allowed-roles": "[]" },
        },
      ],
    });
    await until("the policy is in force", async () => {
      const { status } = await cluster.createPod("changing", {}, "?dryRun=All");
      return status === 403;
    });
  });
});

describe("with the webhook down", { skip }, () => {
  let cluster: Cluster;
  before(async () => {
    if (skip !== false) return;
    cluster = await startCluster(false);
    await cluster.addNamespace("irsa-system", { [LABEL]: "required" });
    for (const namespace of ["kube-system", "kube-public"]) {
      await cluster.plane.createServiceAccount(namespace, "reader", { [ROLE_KEY]: ROLE });
      // The worst that somebody can do.
      await cluster.setLabel(namespace, "required");
    }
    await cluster.webhook[Symbol.asyncDispose]();
  });
  after(() => cluster?.[Symbol.asyncDispose]());

  it("a pod in a namespace with the label `enabled` starts without identity", async () => {
    const { status, env } = await cluster.createPod("open");
    assert.deepEqual([status, env], [201, {}]);
  });

  it("a pod in a namespace with the label `required` is refused", async () => {
    const { status, message } = await cluster.createPod("strict");
    assert.equal(status, 500);
    assert.match(message, /failed calling webhook "required\.irsa-anywhere\.io"/);
  });

  for (const namespace of ["kube-system", "kube-public", "irsa-system"]) {
    it(`a pod in ${namespace} is created, whatever its label`, async () => {
      assert.equal((await cluster.createPod(namespace)).status, 201);
    });
  }

  it("a mirror pod is created, whatever the label of its namespace", async () => {
    for (const namespace of ["strict", "kube-system"]) {
      const { status, message } = await cluster.createPod(namespace, {
        metadata: { annotations: { "kubernetes.io/config.mirror": "hash" } },
        spec: { serviceAccountName: undefined, nodeName: "node-1" },
      });
      assert.deepEqual([status, message], [201, ""], namespace);
    }
  });

  it("a pod that is to be left alone is created", async () => {
    const labels = { [LABEL]: "disabled" };
    const metadata = { name: "left-alone", labels };
    assert.equal((await cluster.createPod("strict", { metadata })).status, 201);
  });
});
