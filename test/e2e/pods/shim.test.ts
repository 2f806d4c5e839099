import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { V1Pod, V1PodSpec } from "@kubernetes/client-node";
import { z } from "zod";
import { connect } from "../../../lib/kube/connection.ts";
import { parseStanding, type Standing } from "../../../scripts/image/measure-image.ts";
import { iptablesImageOf } from "../../../scripts/image/build-image.ts";
import { allows, rightsGranted, rightsUsed, rightText } from "../../helm/access-rights.ts";
import { allObjects } from "../../helm/all-objects.ts";
import { NAMESPACE } from "../../helm/rendered-chart.ts";
import { TOOLS_IMAGE } from "../../kubernetes/nodes/busybox-images.ts";
import { createReadyPod, toolsPod } from "../../kubernetes/running-pod.ts";
import { pageBlocks } from "../../page-blocks.ts";
import { hasPython } from "../python-environment.ts";
import { BOTO3_IMAGE, createBoto3Image } from "./boto3-image.ts";
import { arnSaid, podOf, said } from "./client-output.ts";
import { eventually } from "./eventually.ts";
import * as installation from "./installation.ts";
import { kiamDaemonSet, kube2iamDaemonSet, legacyRights } from "./legacy-agents.ts";
import { sightsOf, watcherPod, type Sight } from "./metadata-watcher.ts";
import {
  ISSUER,
  missingProductParts,
  startProductCluster,
  type ProductCluster,
} from "./product-cluster.ts";
import {
  killShims,
  SHIM_NAMESPACE,
  shimMetric,
  shimPods,
  untilShimRolledOut,
} from "./shim-agent.ts";
import { timed } from "./timed.ts";
import * as workloads from "./workloads.ts";

// The shim as the chart installs it, on a node with a bridge and on one with routed links (ptp), each with
// a metadata service behind it that gives the node's role to whoever reaches it. The numbers N1 to N17 are
// those of test/e2e/shim-rules.test.ts.

const skip = (await missingProductParts(process.env)) ?? false;
const skipPython = !(await hasPython()) && "needs Python 3 with venv";
const { TEAM } = installation;
/** Its pods have an annotation for their role, as with kube2iam. */
const LEGACY = "legacy";
const WATCHED = "watched";
const NODES = ["node-0", "node-1"] as const;
const TAINT = "irsa-anywhere.io/shim-not-ready";
const OTHER_TAINT = "example.com/other";
const METRICS_PORT = 8183;
const ROLE_KEY = "iam.amazonaws.com/role";
const CREDENTIALS_PATH = "/latest/meta-data/iam/security-credentials/";
const RESTARTS = 20;
/** In words, as part of the name of pods, whether it can run here, and by what. */
const SDKS = [
  ["the SDK for JavaScript v3", "v3", true, { args: ["/client/repeat-v3.mjs"] }],
  ["the SDK for JavaScript v2", "v2", true, { args: ["/client/repeat-v2.mjs"] }],
  [
    "boto3",
    "boto3",
    skipPython === false,
    { image: BOTO3_IMAGE, args: ["/client/boto3_repeat.py"] },
  ],
] as const;
const WEBHOOK = {
  settings: { "aws-default-region": installation.REGION, "metadata-shim-annotation": ROLE_KEY },
};

const cleanUp = new AsyncDisposableStack();
let product: ProductCluster;
let roleArn: string;
/** How many calls the node's metadata service had seen when the rules were in. */
let callsBefore: number;
let closedAtMs: number;
before(async () => {
  if (skip !== false) return;
  product = cleanUp.use(
    await startProductCluster({ nodes: 2, cni: ["bridge", "ptp"], auditLog: true, iptables: true }),
  );
});
after(() => cleanUp.disposeAsync());

describe("the shim on a node", { skip }, () => {
  before(async () => {
    if (skip !== false) return;
    const { cluster, folder, awsPlace } = product;
    await cluster.createServiceAccount(LEGACY, workloads.SERVICE_ACCOUNT);
    // Whoever asks for another role than its own gets an Event.
    const watchedArn = "arn:aws:iam::111122223333:role/watched";
    await installation.createNamespace(cluster, WATCHED, watchedArn);
    await create(WATCHED, NODES.map(watcherPod));
    if (skipPython === false) {
      const file = join(folder, "boto3.tar");
      await createBoto3Image({ folder, file, aws: awsPlace });
      await cluster.loadImage(file);
    }
    await eachWatcher("the node's role", (sights) =>
      ["kept", "new"].every((wanted) =>
        sights.some(({ connection, isNode }) => connection === wanted && isNode === true),
      ),
    );
    await cluster.kubectl("taint", "nodes", "--all", `${TAINT}=:NoSchedule`);
    await cluster.kubectl("taint", "nodes", "node-1", `${OTHER_TAINT}=:PreferNoSchedule`);
    const authorities = { metadata: { name: "aws" }, data: { "ca.crt": awsPlace.caPem } };
    await create(SHIM_NAMESPACE, [{ apiVersion: "v1", kind: "ConfigMap", ...authorities }]);
    await installation.prepareNamespace(product);
    await timed("helm install until all of it runs", async () => {
      await install();
      await untilShimRolledOut(cluster);
      closedAtMs = Date.now();
      callsBefore = cluster.metadataCalls().length;
      await installation.untilRolledOut(cluster, "irsa-webhook", "irsa-issuer");
    });
    await installation.publishService(product);
    roleArn = await installation.createRole(product, [TEAM, LEGACY]);
    await installation.createNamespace(cluster, TEAM, roleArn);
    await cluster.kubectl("label", "namespace", LEGACY, "irsa-anywhere.io/injection=enabled");
    // What kiam's manifest and profile take for granted.
    await cluster.kubectl("annotate", "namespace", LEGACY, "iam.amazonaws.com/permitted=.*");
    await cluster.kubectl("label", "nodes", "--all", "kubernetes.io/role=node");
    const tls = { metadata: { name: "kiam-agent-tls" }, stringData: { "ca.pem": "none" } };
    await create(SHIM_NAMESPACE, [{ apiVersion: "v1", kind: "Secret", ...tls }]);
    const pods = SDKS.filter(([, , isHere]) => isHere).flatMap(([, own, , how]) =>
      NODES.map((nodeName) => {
        const containers = [workloads.client("app", { ...how, args: [...how.args] })];
        return workloads.endingPod(`${own}-${nodeName}`, { nodeName, containers });
      }),
    );
    await create(TEAM, pods);
  });

  it("takes its taint from each node, and no other", async () => {
    const taints = await eventually("no taint of the shim's", async () => {
      const { items } = await product.cluster.admin.core.listNode();
      const keys = items.map(({ spec }) => (spec?.taints ?? []).map(({ key }) => key));
      return keys.flat().includes(TAINT) ? undefined : keys;
    });
    assert.deepEqual(taints, [[], [OTHER_TAINT]]);
  });

  it("ends connections from before the rules, which had reached the node's role (N1, N4)", async () => {
    for (const nodeName of NODES) {
      const sights = await sightsOf(product.cluster, { namespace: WATCHED, nodeName });
      const [first, ...others] = sights.filter(({ connection }) => connection === "kept");
      const last = others.at(-1);
      assert.deepEqual([first?.isNode, last?.isNode ?? false], [true, false], nodeName);
    }
  });

  it("keeps IPv6 pods from the node's role too", async () => {
    for (const node of product.cluster.nodes) {
      const rules = await node.run("ip6tables-save");
      assert.match(rules, /^-A FORWARD -d fd00:ec2::254\/128 -j IRSA-METADATA$/m);
      assert.match(rules, /^-A IRSA-METADATA -j REJECT/m);
    }
  });

  for (const [sdk, own, isHere] of SDKS) {
    it(
      `gives pods their own role for ${sdk}, which knows nothing of AWS`,
      { skip: !isHere && "needs Python 3 with venv" },
      async () => {
        for (const app of NODES.map((nodeName) => `${own}-${nodeName}`)) {
          const place = { namespace: TEAM, app, container: "app" };
          for (const client of ["kept", "new"]) {
            const pattern = new RegExp(`^\\{"client":"${client}","arn":"(.*)"\\}$`, "m");
            const arn = await said(product.cluster, place, pattern);
            assert.match(arn, new RegExp(`:assumed-role/${workloads.ROLE_NAME}/${TEAM}\\.${app}`));
          }
        }
      },
    );
  }

  it("gives pods with kube2iam's annotation their role, by the token that the webhook added", async () => {
    const { cluster } = product;
    const pods = NODES.map((nodeName) =>
      annotated(
        `annotated-${nodeName}`,
        // Its token is a file of that user alone.
        { nodeName, securityContext: { runAsUser: 1000 } },
        roleArn,
      ),
    );
    await untilTokensAreAdded();
    await create(LEGACY, pods);
    await createAsker();
    for (const nodeName of NODES) {
      const app = `annotated-${nodeName}`;
      const place = { namespace: LEGACY, app, container: "app" };
      const arn = await said(cluster, place, /^\{"client":"new","arn":"(.*)"\}$/m);
      assert.match(arn, new RegExp(`:assumed-role/${workloads.ROLE_NAME}/${LEGACY}\\.${app}`));
      const pod = await podOf(cluster.admin.core, LEGACY, app);
      assert.doesNotMatch(JSON.stringify(pod?.spec), /AWS_/);
    }
    const asked = (await used()).filter(({ resource }) => resource === "/serviceaccounts/token");
    assert.deepEqual([...new Set(asked.map(({ namespace }) => namespace))], [TEAM]);
  });

  it("gives container credentials to a pod on the host's network", async () => {
    const folder = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
    const audience = "pods.eks.amazonaws.com";
    const env = Object.entries({
      AWS_REGION: installation.REGION,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://169.254.170.23/v1/credentials",
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: `${folder}/token`,
    }).map(([name, value]) => ({ name, value }));
    const volumeMounts = [{ name: "token", mountPath: folder, readOnly: true }];
    const sources = [{ serviceAccountToken: { audience, path: "token" } }];
    await create(TEAM, [
      workloads.endingPod("on-host", {
        hostNetwork: true,
        dnsPolicy: "ClusterFirstWithHostNet",
        containers: [workloads.client("app", { env, volumeMounts })],
        volumes: [{ name: "token", projected: { sources } }],
      }),
    ]);
    const place = { namespace: TEAM, app: "on-host", container: "app" };
    assert.match(await arnSaid(product.cluster, place), new RegExp(`/${TEAM}\\.on-host`));
  });

  it("shows STS the token of each pod's own ServiceAccount, and nobody else's", () => {
    const calls = product.aws.calls().filter(({ service }) => service === "sts");
    const outcomes = new Set(calls.map(({ action, code }) => `${action} ${code}`));
    assert.deepEqual([...outcomes].toSorted(), [
      "AssumeRoleWithWebIdentity OK",
      "GetCallerIdentity OK",
    ]);
    const identities = calls.flatMap(({ webIdentity }) => webIdentity ?? []);
    const account = workloads.SERVICE_ACCOUNT;
    assert.deepEqual(
      new Set(
        identities.map(({ issuer, subject, isVerified }) => `${issuer} ${subject} ${isVerified}`),
      ),
      new Set([TEAM, LEGACY].map((ns) => `${ISSUER} system:serviceaccount:${ns}:${account} true`)),
    );
  });

  it("runs with a read-only root, and what each container needs of root's capabilities", async () => {
    for (const [container, capabilities] of [
      // DAC_READ_SEARCH and NET_BIND_SERVICE; NET_ADMIN and NET_RAW (capability.h).
      ["shim", (1 << 2) | (1 << 10)],
      ["rules", (1 << 12) | (1 << 13)],
    ] as const) {
      assert.deepEqual(await standingOf(container), {
        uid: 0,
        capabilities: capabilities.toString(16).padStart(16, "0"),
        noNewPrivileges: true,
        isRootReadOnly: true,
      });
    }
  });

  it(`keeps SDKs working while it is killed ${RESTARTS} times and then replaced`, async (t) => {
    const { cluster } = product;
    await timed("restarts", async () => {
      const restarts = await killShims(cluster, RESTARTS);
      t.diagnostic(`restarts: ${restarts.join(" and ")}`);
      await cluster.kubectl("rollout", "restart", "daemonset/irsa-shim", `-n${SHIM_NAMESPACE}`);
      await untilShimRolledOut(cluster);
    });
    const sinceMs = Date.now();
    const sdks = SDKS.filter(([, , isHere]) => isHere);
    for (const app of NODES.flatMap((node) => sdks.map(([, own]) => `${own}-${node}`))) {
      const lines = await outcomesOf(app);
      const problems = lines.filter(({ problem }) => problem !== undefined);
      const isKept = ({ client }: Outcome): boolean => client === "kept";
      assert.deepEqual(problems.filter(isKept), [], app);
      const others = lines.filter((line) => !isKept(line)).length;
      t.diagnostic(`${app}: ${problems.length} of ${others} new clients came while it was away`);
      await eventually(`a new client of ${app} after that`, async () => {
        const now = await outcomesOf(app);
        return (now.length > lines.length && now.at(-1)?.arn !== undefined) || undefined;
      });
    }
    await eachWatcher("the shim", (sights) => sights.at(-1)?.status !== undefined, sinceMs);
  });

  it("is closed when the DNAT is deleted by hand, until the rules are put back (N17)", async () => {
    const { cluster } = product;
    for (const node of cluster.nodes)
      await node.run("iptables", "-t", "nat", "-F", "IRSA-METADATA");
    for (const [i, node] of cluster.nodes.entries()) {
      await eventually("the rule that was deleted", async () => {
        const rules = await node.run("iptables", "-t", "nat", "-S", "IRSA-METADATA");
        return rules.includes("DNAT") || undefined;
      });
      const name = (await shimPods(cluster))[i]?.metadata?.name ?? "";
      const log = await cluster.kubectl("logs", name, `-n${SHIM_NAMESPACE}`, "--container=rules");
      assert.match(log, /Put back rules that were lost/);
    }
    const sinceMs = Date.now();
    await eachWatcher("the shim", (sights) => sights.at(-1)?.status !== undefined, sinceMs);
  });

  it(
    "gives nothing to a pod that takes another's address on a bridge",
    { skip: skipPython },
    async (t) => {
      const [node] = product.cluster.nodes;
      const metric = { node, port: METRICS_PORT, name: "irsa_shim_foreign_connections_total" };
      const counted = await shimMetric(product.cluster, metric);
      // NET_RAW is what containers have unless somebody drops it.
      const answer = await askAs(await addressOf("v3-node-0"), "thief");
      assert.match(answer, /^HTTP\/1\.1 404 /);
      assert.doesNotMatch(answer, new RegExp(`^${workloads.ROLE_NAME}$`, "m"));
      const foreign = (await shimMetric(product.cluster, metric)) - counted;
      assert.ok(foreign > 0);
      t.diagnostic(
        `attestation: ${foreign} connections were not those of the pod whose address they had`,
      );
      const [pod] = await shimPods(product.cluster);
      const where = [`-n${SHIM_NAMESPACE}`, "--container=shim"];
      const log = await product.cluster.kubectl("logs", pod?.metadata?.name ?? "", ...where);
      assert.match(log, /"pod":"v3-node-0".*"A connection only shows the address of a pod"/);
    },
  );

  it("needs not fear pods without NET_ADMIN that give themselves an address", async () => {
    const { cluster } = product;
    const address = await addressOf("v3-node-0");
    await createReadyPod(cluster.admin.core, TEAM, toolsPod("plain", { nodeName: "node-0" }));
    const add = ["ip", "address", "add", `${address}/32`, "dev", "eth0"];
    const asked = cluster.kubectl("exec", `-n${TEAM}`, "plain", "--", ...add);
    await assert.rejects(asked, /Operation not permitted/);
  });

  it("gives nothing to a pod with NET_ADMIN that has given itself another's address", async () => {
    const { cluster } = product;
    const [node] = cluster.nodes;
    const address = await addressOf("v3-node-0");
    const metric = { node, port: METRICS_PORT, name: "irsa_shim_foreign_connections_total" };
    const counted = await shimMetric(cluster, metric);
    const securityContext = { capabilities: { add: ["NET_ADMIN"] } };
    const container = { name: "tools", image: TOOLS_IMAGE, securityContext };
    await createReadyPod(
      cluster.admin.core,
      TEAM,
      toolsPod("mighty", {
        nodeName: "node-0",
        containers: [{ ...container, imagePullPolicy: "Never" }],
      }),
    );
    const inPod = (...command: readonly string[]): Promise<string> =>
      cluster.kubectl("exec", `-n${TEAM}`, "mighty", "--", ...command);
    await inPod("ip", "address", "add", `${address}/32`, "dev", "eth0");
    await inPod("ip", "route", "add", "169.254.169.254", "via", "10.244.0.1", "src", address);
    // The gateway notes where the address is from whoever asks for its own.
    const claim = `arping -c 1 -s ${address} -I eth0 10.244.0.1 >/dev/null`;
    const ask = `timeout 10 wget -q -O - http://169.254.169.254${CREDENTIALS_PATH} 2>&1`;
    const answers = await eventually("a connection that is not the pod's", async () => {
      const answer = await inPod("sh", "-c", `${claim}; ${ask}; true`);
      const isSeen = (await shimMetric(cluster, metric)) > counted;
      return isSeen ? answer : undefined;
    });
    assert.match(answers, /404 Not Found/);
    await cluster.kubectl("delete", "pod", "mighty", `-n${TEAM}`);
  });

  it("has been given exactly the rights that it has used", async (t) => {
    const account = { namespace: SHIM_NAMESPACE, name: "irsa-shim" };
    const granted = await rightsGranted(product.cluster.admin, account);
    const uses = await used();
    assert.deepEqual(
      uses.filter(({ isAllowed }) => !isAllowed),
      [],
    );
    const needed = granted.filter((right) => uses.some((use) => allows(right, use)));
    t.diagnostic(`${needed.length} rights used of ${granted.length} granted`);
    assert.deepEqual(needed.map(rightText).toSorted(), granted.map(rightText).toSorted());
    const webhook = await used({ namespace: NAMESPACE, name: "irsa-webhook" });
    assert.ok(webhook.some(({ verb, resource }) => verb === "get" && resource === "/pods"));
  });

  it("may change nothing of a node but its own taint", async () => {
    const [pod] = await shimPods(product.cluster);
    const ask = (node: string, patch: object): Promise<string> => patchNodeAsShim(pod, node, patch);
    const relabel = { metadata: { labels: { a: "b" } } };
    assert.match(await ask("node-0", relabel), /^422 .*the shim may change taints alone/);
    assert.match(await ask("node-1", relabel), /^422 .*the shim may change its own node alone/);
    const taint = { spec: { taints: [{ key: "a", effect: "NoSchedule" }] } };
    assert.match(await ask("node-0", taint), /^422 .*may take away the taint \S+ and nothing else/);
    const cordon = { spec: { unschedulable: true } };
    assert.match(await ask("node-0", cordon), /^422 .*the shim may change taints alone/);
  });

  it("leaves the rules when it is taken out of the release, and nothing else", async () => {
    await upgrade({ enabled: false });
    await untilNothingOf(/irsa-shim/);
    const sinceMs = Date.now();
    await eachWatcher(
      "a closed door",
      (sights) => sights.at(-1)?.problem === "ECONNREFUSED",
      sinceMs,
    );
  });

  it("takes the place of kube2iam by its own example, with image and command changed", async () => {
    await startLegacyAgent("kube2iam", kube2iamDaemonSet(iptablesImageOf(product.image)));
    await untilRuleOf("eni+");
    assert.match(await answerTo("/healthz"), /"hostIP":"10\.10\.0\.10"/);
    assert.equal(await answerTo(CREDENTIALS_PATH), workloads.ROLE_NAME);
  });

  it("gives credentials with what the page adds to that example", async () => {
    const { cluster, awsPlace } = product;
    const blocks = await pageBlocks("migrate-kube2iam-kiam.md", "yaml");
    const page = blocks.find((block) => block.startsWith("# shim.yaml"));
    // AWS itself needs none of it.
    const env = [
      { name: "AWS_ENDPOINT_URL_STS", value: awsPlace.stsUrl },
      { name: "AWS_CA_BUNDLE", value: "/aws/ca.crt" },
    ];
    const volumeMounts = [{ name: "aws", mountPath: "/aws" }];
    const aws = {
      dnsPolicy: "ClusterFirstWithHostNet",
      containers: [{ name: "kube2iam", env, volumeMounts }],
      volumes: [{ name: "aws", configMap: { name: "aws" } }],
    };
    for (const patch of [page ?? "", JSON.stringify({ spec: { template: { spec: aws } } })]) {
      await cluster.kubectl("patch", "daemonset", "kube2iam", `-n${SHIM_NAMESPACE}`, `-p=${patch}`);
    }
    const where = ["daemonset/kube2iam", `-n${SHIM_NAMESPACE}`, "--timeout=120s"];
    await cluster.kubectl("rollout", "status", ...where);
    const credentials = await answerTo(`${CREDENTIALS_PATH}${workloads.ROLE_NAME}`);
    assert.match(credentials, /"Code" ?: ?"Success"/);
    assert.match(credentials, /"AccessKeyId" ?: ?"ASIA/);
  });

  it("takes the place of kiam's agent by its own manifest, with image and command changed", async () => {
    await startLegacyAgent("kiam-agent", kiamDaemonSet(iptablesImageOf(product.image)));
    await untilRuleOf("cali+");
    assert.equal(await answerTo("/ping"), "pong");
    assert.equal(await answerTo(CREDENTIALS_PATH), roleArn);
  });

  it("never let a pod have the node's role since the rules were first in", async () => {
    const { cluster } = product;
    const calls = cluster.metadataCalls().slice(callsBefore);
    assert.deepEqual(
      calls.filter(({ from }) => from.startsWith("10.244.")),
      [],
    );
    for (const nodeName of NODES) {
      const sights = await sightsOf(cluster, { namespace: WATCHED, nodeName, sinceMs: closedAtMs });
      assert.ok(sights.length > 100, String(sights.length));
      assert.deepEqual(
        sights.filter(({ isNode }) => isNode === true),
        [],
      );
    }
  });

  it("loses its rules on a single node by the command of the page", async () => {
    const { cluster } = product;
    const agent = ["daemonset", "--ignore-not-found", "kiam-agent", `-n${SHIM_NAMESPACE}`];
    await cluster.kubectl("delete", ...agent);
    await untilNothingOf(/pods \S+\/kiam-agent/);
    const blocks = await pageBlocks("install.md", "bash");
    const command = blocks.find((block) => block.startsWith("kubectl debug node/NODE")) ?? "";
    const [, ...args] = command.trim().replace("NODE", "node-0").split(" ");
    await cluster.kubectl(...args);
    const [first, second] = cluster.nodes;
    await eventually("a node without rules", async () => {
      const rules = await first.run("iptables-save");
      return rules.includes("IRSA") ? undefined : true;
    });
    assert.match((await second?.run("iptables-save")) ?? "", /IRSA/);
  });

  it("takes the rules away when it is told to, and pods reach the node's role again", async () => {
    const { cluster } = product;
    await upgrade({ enabled: true, removeRules: true });
    await untilShimRolledOut(cluster);
    const sinceMs = Date.now();
    await eachWatcher("the node's role", (sights) => sights.at(-1)?.isNode === true, sinceMs);
    for (const node of cluster.nodes) {
      for (const program of ["iptables-save", "ip6tables-save"]) {
        assert.doesNotMatch(await node.run(program), /IRSA|169\.254\.169\.254|fd00:ec2/);
      }
    }
    await installation.uninstallRelease(product);
    await untilNothingOf(/irsa-(shim|webhook|anywhere)/);
  });
});

type Outcome = z.infer<typeof Outcome>;
const Outcome = z.object({
  client: z.enum(["kept", "new"]),
  arn: z.string().optional(),
  problem: z.string().optional(),
});

/** What the clients of a pod said. */
async function outcomesOf(app: string): Promise<readonly Outcome[]> {
  const pod = await podOf(product.cluster.admin.core, TEAM, app);
  const asked = { namespace: TEAM, name: pod?.metadata?.name ?? "" };
  const log = await product.cluster.admin.core.readNamespacedPodLog(asked);
  const lines = log.split("\n").filter((line) => line.startsWith('{"client"'));
  return lines.map((line) => Outcome.parse(JSON.parse(line)));
}

async function install(): Promise<void> {
  await installation.runHelm(product, "install", {
    webhook: WEBHOOK,
    shim: {
      enabled: true,
      metricsPort: METRICS_PORT,
      tokenRequests: true,
      containerCredentials: true,
      removeTaint: TAINT,
      caConfigMap: "aws",
      env: [{ name: "AWS_ENDPOINT_URL_STS", value: product.awsPlace.stsUrl }],
      dnsPolicy: "ClusterFirstWithHostNet",
      settings: { profile: "kube2iam", region: installation.REGION },
    },
  });
}

async function upgrade(shim: object): Promise<void> {
  await installation.runHelm(product, "upgrade", { webhook: WEBHOOK, shim });
}

/** Resolves when no object has such a name. */
async function untilNothingOf(name: RegExp): Promise<void> {
  const kube = connect({ kubeconfig: product.cluster.kubeconfig });
  let left: readonly string[] = [];
  await eventually(
    `nothing of ${name.source}`,
    async () => {
      left = (await allObjects(kube)).filter((object) => name.test(object));
      return left.length === 0 || undefined;
    },
    async () => left.join(", "),
  );
}

/** Resolves when the watchers of all nodes have seen it. */
async function eachWatcher(
  what: string,
  isSeen: (sights: readonly Sight[]) => boolean,
  sinceMs = 0,
): Promise<void> {
  for (const nodeName of NODES) {
    let sights: readonly Sight[] = [];
    await eventually(
      `${what} at the watcher of ${nodeName}`,
      async () => {
        sights = await sightsOf(product.cluster, { namespace: WATCHED, nodeName, sinceMs });
        return isSeen(sights) || undefined;
      },
      async () => JSON.stringify(sights.slice(-5)),
    );
  }
}

function annotated(name: string, spec: Partial<V1PodSpec>, role: string): object {
  const containers = [workloads.client("app", { args: ["/client/repeat-v3.mjs"] })];
  const pod = workloads.endingPod(name, { containers, ...spec }) as { metadata: object };
  return { ...pod, metadata: { ...pod.metadata, annotations: { [ROLE_KEY]: role } } };
}

/** A pod with a shell, whose role stands in its annotation. */
async function createAsker(): Promise<void> {
  const { spec } = toolsPod("asker", {
    nodeName: "node-0",
    serviceAccountName: workloads.SERVICE_ACCOUNT,
  });
  const metadata = { name: "asker", annotations: { [ROLE_KEY]: roleArn } };
  await createReadyPod(product.cluster.admin.core, LEGACY, { metadata, ...(spec && { spec }) });
}

/** Resolves when a pod with the annotation would get a token. */
async function untilTokensAreAdded(): Promise<void> {
  const { core } = product.cluster.admin;
  await eventually("a pod that would get a token", async () => {
    const body = annotated("would-be", {}, roleArn);
    const pod = await core.createNamespacedPod({ namespace: LEGACY, body, dryRun: "All" });
    return JSON.stringify(pod.spec).includes("aws-iam-token") || undefined;
  });
}

async function create(namespace: string, objects: readonly object[]): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items: objects };
  await product.cluster.kubectlWith(JSON.stringify(list), "create", `-n${namespace}`, "-f", "-");
}

async function addressOf(app: string): Promise<string> {
  const pod = await podOf(product.cluster.admin.core, TEAM, app);
  return pod?.status?.podIP ?? assert.fail(`The pod ${app} has no address`);
}

/** What a pod on the bridge is answered that shows the address of another one. */
async function askAs(address: string, name: string): Promise<string> {
  const args = ["/client/take_address.py", address, "10.244.0.1", CREDENTIALS_PATH];
  const container = workloads.client("app", { args, image: BOTO3_IMAGE });
  await create(WATCHED, [
    workloads.endingPod(name, {
      nodeName: "node-0",
      containers: [container],
    }),
  ]);
  const place = { namespace: WATCHED, app: name, container: "app" };
  return said(product.cluster, place, /^(?:HTTP|Nobody|The gateway|Traceback)[^]*/m);
}

/** What a ServiceAccount did so far. */
async function used(
  account = { namespace: SHIM_NAMESPACE, name: "irsa-shim" },
): ReturnType<typeof rightsUsed> {
  const [{ auditFile }] = product.cluster.apiServers;
  return rightsUsed(auditFile, `system:serviceaccount:${account.namespace}:${account.name}`);
}

/** What the kernel says of a container of the shim's, read by its own Node. */
async function standingOf(container: string): Promise<Standing> {
  const [pod] = await shimPods(product.cluster);
  const output = await inShim(
    pod,
    container,
    `const { readFileSync } = process.getBuiltinModule("node:fs");
    const read = (name) => readFileSync("/proc/self/" + name, "utf8");
    console.log(JSON.stringify({ status: read("status"), mountInfo: read("mountinfo") }));`,
  );
  return parseStanding(JSON.parse(output) as Parameters<typeof parseStanding>[0]);
}

/** What the API server says to a change of a node by a shim's own token: status and message. */
async function patchNodeAsShim(
  pod: V1Pod | undefined,
  node: string,
  patch: object,
): Promise<string> {
  return inShim(
    pod,
    "shim",
    `const { readFileSync } = process.getBuiltinModule("node:fs");
    const read = (name) => readFileSync("/var/run/secrets/kubernetes.io/serviceaccount/" + name, "utf8");
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
    const request = process.getBuiltinModule("node:https").request({
      method: "PATCH",
      host, port, ca: read("ca.crt"), path: "/api/v1/nodes/${node}",
      headers: {
        authorization: "Bearer " + read("token"),
        "content-type": "application/merge-patch+json",
      },
    }, (response) => {
      let body = "";
      response.on("data", (chunk) => { body += chunk; });
      response.on("end", () => console.log(response.statusCode, JSON.parse(body).message));
    });
    request.end(${JSON.stringify(JSON.stringify(patch))});`,
  );
}

async function inShim(pod: V1Pod | undefined, container: string, script: string): Promise<string> {
  const where = [`-n${SHIM_NAMESPACE}`, pod?.metadata?.name ?? "", `--container=${container}`];
  return product.cluster.kubectl("exec", ...where, "--", "/nodejs/bin/node", "--eval", script);
}

/** Runs an agent of before, in the place of another one, with what its manifest takes for granted. */
async function startLegacyAgent(name: string, manifest: object): Promise<void> {
  const { cluster } = product;
  const where = `-n${SHIM_NAMESPACE}`;
  await cluster.kubectl("delete", "daemonset", "--ignore-not-found", "kube2iam", where);
  const list = { apiVersion: "v1", kind: "List", items: [...legacyRights(), manifest] };
  await cluster.kubectlWith(JSON.stringify(list), "apply", "-f", "-");
  await cluster.kubectl("rollout", "status", `daemonset/${name}`, where, "--timeout=120s");
}

/** Resolves when pods that come in there are led to the node's own address. */
async function untilRuleOf(interfaces: string): Promise<void> {
  const [node] = product.cluster.nodes;
  await eventually(`a rule for ${interfaces}`, async () => {
    const rules = await node.run("iptables-save", "-t", "nat");
    const wanted = `-A IRSA-METADATA -i ${interfaces} -p tcp -j DNAT --to-destination ${node.address}:8181`;
    return rules.includes(wanted) || undefined;
  });
}

/** What the agent of a node says to a pod there that asks it by the node's address. */
async function answerTo(path: string): Promise<string> {
  const { cluster } = product;
  const url = `http://${cluster.nodes[0].address}:8181${path}`;
  return eventually(path, () =>
    cluster
      .kubectl("exec", `-n${LEGACY}`, "asker", "--", "wget", "-q", "-O", "-", url)
      .catch(() => undefined),
  );
}
