import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { decodeJwt } from "jose";
import type { V1EnvVar, V1PodSpec } from "@kubernetes/client-node";
import { refusalCode } from "../../../cli/demo/aws-account.ts";
import { connect } from "../../../lib/kube/connection.ts";
import { allObjects } from "../../helm/all-objects.ts";
import { rightsUsed } from "../../helm/access-rights.ts";
import { NAMESPACE } from "../../helm/rendered-chart.ts";
import { NODE_ROLE } from "../../kubernetes/nodes/metadata-stand-in.ts";
import { hasPython } from "../python-environment.ts";
import { BOTO3_IMAGE, createBoto3Image } from "./boto3-image.ts";
import { CLIENT_IMAGE } from "./client-image.ts";
import { arnSaid, podOf, said } from "./client-output.ts";
import { createObjects } from "./create-objects.ts";
import { eventually } from "./eventually.ts";
import * as installation from "./installation.ts";
import { runNodeIn, standingOf } from "./node-in-pod.ts";
import {
  ISSUER,
  missingProductParts,
  startProductCluster,
  type ProductCluster,
} from "./product-cluster.ts";
import { timed } from "./timed.ts";
import * as workloads from "./workloads.ts";

// The whole chain where it lives: image, manifests and chart on a real node, kubelet's tokens, and the
// unmodified AWS SDK in pods. AWS is outside of the cluster, and knows of it what the issuer publishes.

const skipPython = !(await hasPython()) && "needs Python 3 with venv";
const skip = (await missingProductParts(process.env)) ?? false;
const { TEAM } = installation;
const UNCOVERED = "uncovered";
const ROLE_SESSION = new RegExp(`^arn:aws:sts::\\d{12}:assumed-role/${workloads.ROLE_NAME}/[^/]+$`);
/** How long after its end STS still takes a token. */
const CLOCK_SKEW_MS = 300_000;
const NODE_CREDENTIALS = `/latest/meta-data/iam/security-credentials/${NODE_ROLE}`;

const cleanUp = new AsyncDisposableStack();
let product: ProductCluster;
let roleArn: string;
before(async () => {
  if (skip !== false) return;
  product = cleanUp.use(await startProductCluster({ auditLog: true }));
});
after(() => cleanUp.disposeAsync());

describe("pods of an installation by kubectl, behind an Ingress", { skip }, () => {
  let overlay: string;
  before(async () => {
    if (skip !== false) return;
    const { cluster } = product;
    overlay = await installation.writeOverlay(product.folder);
    await timed("kubectl apply -k until all of it runs", async () => {
      await cluster.kubectl("apply", "-k", overlay);
      await installation.untilRolledOut(cluster, "irsa-webhook", "irsa-issuer");
    });
    cleanUp.use(await installation.publishIngress(product));
    roleArn = await installation.createRole(product);
    await installation.createCoveredNamespace(cluster, TEAM, roleArn);
    await installation.untilPodsAreMutated(cluster, TEAM);
    await createObjects(product.cluster, TEAM, [
      // The first, since it waits for a full minute.
      workloads.cronJob("nightly"),
      workloads.deployment("web"),
      workloads.statefulSet("store"),
      workloads.endingPod("prepared", {
        initContainers: [workloads.client("init")],
        containers: [workloads.client("app", { args: ["--version"] })],
      }),
      workloads.endingPod("accompanied", {
        initContainers: [workloads.stayingClient("sidecar", { restartPolicy: "Always" })],
      }),
      workloads.endingPod("nobody", { securityContext: { runAsNonRoot: true, runAsUser: 1000 } }),
    ]);
  });

  for (const [what, app, container] of [
    ["a Deployment", "web", "app"],
    ["a StatefulSet", "store", "app"],
    ["an init container", "prepared", "init"],
    ["a native sidecar", "accompanied", "sidecar"],
    ["a container beside a native sidecar", "accompanied", "app"],
    ["a pod that runs as non-root, without an fsGroup", "nobody", "app"],
  ] as const) {
    it(`are the role of their ServiceAccount in ${what}`, async () => {
      const place = { namespace: TEAM, app, container };
      assert.match(await arnSaid(product.cluster, place), ROLE_SESSION);
    });
  }

  it("are the role of their ServiceAccount for boto3", { skip: skipPython }, async () => {
    const { cluster, folder, awsPlace: aws } = product;
    const file = join(folder, "boto3.tar");
    await createBoto3Image({ folder, file, aws });
    await cluster.loadImage(file);
    const containers = [workloads.client("app", { image: BOTO3_IMAGE })];
    await createObjects(product.cluster, TEAM, [workloads.endingPod("python", { containers })]);
    const place = { namespace: TEAM, app: "python", container: "app" };
    assert.match(await said(cluster, place, /^\{"arn": "(.*)"\}$/m), ROLE_SESSION);
  });

  it("are the role of their ServiceAccount for kubectl debug", async () => {
    const { cluster } = product;
    const pod = await podOf(cluster.admin.core, TEAM, "web");
    const name = pod?.metadata?.name ?? "";
    const how = [`--image=${CLIENT_IMAGE}`, "--image-pull-policy=Never", "--profile=general"];
    await cluster.kubectl("debug", name, `-n${TEAM}`, "--container=debugger", ...how);
    const place = { namespace: TEAM, app: "web", container: "debugger" };
    assert.match(await arnSaid(cluster, place), ROLE_SESSION);
  });

  it("are the role of their ServiceAccount in a CronJob", async () => {
    const place = { namespace: TEAM, app: "nightly", container: "app" };
    assert.match(await arnSaid(product.cluster, place), ROLE_SESSION);
  });

  it("ask nobody but STS, which trusts what the issuer publishes", async () => {
    assert.deepEqual(product.cluster.metadataCalls(), []);
    const calls = product.aws.calls().filter(({ service }) => service === "sts");
    assert.deepEqual(
      [...new Set(calls.map(({ action, code }) => `${action} ${code}`))].toSorted(),
      ["AssumeRoleWithWebIdentity OK", "GetCallerIdentity OK"],
    );
    const identities = calls.flatMap(({ webIdentity }) => webIdentity ?? []);
    assert.deepEqual(
      new Set(
        identities.map(({ issuer, subject, isVerified }) => `${issuer} ${subject} ${isVerified}`),
      ),
      new Set([`${ISSUER} system:serviceaccount:${TEAM}:${workloads.SERVICE_ACCOUNT} true`]),
    );
  });

  it("go on with the token that kubelet has put in the place of one that ends", async (t) => {
    const { aws, awsAccess, cluster } = product;
    const first = await tokenNow();
    // A kubelet that starts has no tokens yet. Else it asks for one when four fifths of 600 seconds are over.
    await cluster.nodes[0].restartKubelet();
    const second = await eventually("another token", async () => {
      const token = await tokenNow().catch(() => first);
      return token === first ? undefined : token;
    });
    const apartMs = expiryMs(second) - expiryMs(first);
    t.diagnostic(`the second token ends ${apartMs / 1000} s after the first`);
    // Just when STS takes the first no more.
    const fromMs = expiryMs(first) + CLOCK_SKEW_MS + 2000;
    aws.set({ clockOffsetSeconds: Math.round((fromMs - Date.now()) / 1000) });
    const request = { roleArn, sessionName: "late" };
    assert.equal(
      await refusalCode(awsAccess, { ...request, token: first }),
      "ExpiredTokenException",
    );
    const { arn } = JSON.parse(await runNode("/client/sdk-v3.mjs")) as { arn: string };
    assert.match(arn, ROLE_SESSION);
    aws.set({ clockOffsetSeconds: 0 });
  });

  it("are the node in a namespace that is not covered: nothing there keeps them from it", async () => {
    await installation.createNamespace(product.cluster, UNCOVERED, roleArn);
    await createObjects(product.cluster, UNCOVERED, [workloads.endingPod("exposed", withRegion())]);
    const place = { namespace: UNCOVERED, app: "exposed", container: "app" };
    // The keys of the stand-in of the metadata service are not known to that of AWS.
    await said(product.cluster, place, /InvalidClientTokenId/);
    const pod = await podOf(product.cluster.admin.core, UNCOVERED, "exposed");
    const asked = product.cluster.metadataCalls().filter(({ path }) => path === NODE_CREDENTIALS);
    assert.deepEqual([...new Set(asked.map(({ from }) => from))], [pod?.status?.podIP]);
    assert.equal(product.aws.calls().at(-1)?.code, "InvalidClientTokenId");
  });

  it("fail there with a clear message where the metadata service is off for the SDK", async () => {
    const askedBefore = product.cluster.metadataCalls().length;
    await createObjects(product.cluster, UNCOVERED, [
      workloads.endingPod(
        "closed",
        withRegion({ name: "AWS_EC2_METADATA_DISABLED", value: "true" }),
      ),
    ]);
    const place = { namespace: UNCOVERED, app: "closed", container: "app" };
    await said(product.cluster, place, /Could not load credentials from any providers/);
    assert.equal(product.cluster.metadataCalls().length, askedBefore);
  });

  it("come from containers that have no capability and a root that nobody can write", async () => {
    for (const component of ["webhook", "issuer"]) {
      const where = [`deployment/irsa-${component}`, `--namespace=${NAMESPACE}`];
      assert.deepEqual(await standingOf(product.cluster, where, "1"), {
        uid: 65_532,
        capabilities: "0000000000000000",
        noNewPrivileges: true,
        isRootReadOnly: true,
      });
    }
  });

  it("need no right that the programs were not given", async () => {
    const [{ auditFile }] = product.cluster.apiServers;
    for (const name of ["irsa-webhook", "irsa-issuer"]) {
      const used = await rightsUsed(auditFile, `system:serviceaccount:${NAMESPACE}:${name}`);
      assert.notEqual(used.length, 0);
      assert.deepEqual(
        used.filter(({ isAllowed }) => !isAllowed),
        [],
      );
    }
  });

  it("are made without it after kubectl delete -k, which takes all of it away", async () => {
    const { cluster } = product;
    await cluster.kubectl("delete", "-k", overlay);
    const everywhere = (await allObjects(connect({ kubeconfig: cluster.kubeconfig }))).join("\n");
    assert.doesNotMatch(everywhere, /irsa-(system|webhook|issuer|anywhere)/);
    await createObjects(product.cluster, TEAM, [workloads.endingPod("late", withRegion())]);
    const late = await podOf(cluster.admin.core, TEAM, "late");
    assert.doesNotMatch(JSON.stringify(late?.spec), /AWS_ROLE_ARN/);
  });
});

describe("pods of an installation by Helm, with TLS from a Secret", { skip }, () => {
  before(async () => {
    if (skip !== false) return;
    await timed("helm install until all of it runs", async () => {
      await installation.prepareNamespace(product);
      await installation.runHelm(product, "install");
      await installation.untilRolledOut(product.cluster, "irsa-webhook", "irsa-issuer");
      await installation.untilPodsAreMutated(product.cluster, TEAM);
    });
    await installation.publishService(product);
  });

  it("are the role of their ServiceAccount", async () => {
    await createObjects(product.cluster, TEAM, [workloads.deployment("by-helm")]);
    const place = { namespace: TEAM, app: "by-helm", container: "app" };
    assert.match(await arnSaid(product.cluster, place), ROLE_SESSION);
  });
});

/** Runs the Node of a pod of the StatefulSet. */
async function runNode(...args: readonly string[]): Promise<string> {
  const where = [`--namespace=${TEAM}`, "store-0", "--container=app"];
  return runNodeIn(product.cluster, where, ...args);
}

/** The token that kubelet keeps in that pod. */
async function tokenNow(): Promise<string> {
  const script = `
    const { readFileSync } = process.getBuiltinModule("node:fs");
    process.stdout.write(readFileSync(process.env.AWS_WEB_IDENTITY_TOKEN_FILE));`;
  return runNode("--eval", script);
}

function expiryMs(token: string): number {
  return Number(decodeJwt(token).exp) * 1000;
}

/** A client that was not told its region by the webhook. */
function withRegion(...more: readonly V1EnvVar[]): Partial<V1PodSpec> {
  const env = [{ name: "AWS_REGION", value: installation.REGION }, ...more];
  return { containers: [workloads.client("app", { env })] };
}
