import assert from "node:assert/strict";
import { it } from "node:test";
import type { V1PodSpec } from "@kubernetes/client-node";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { createReadyPod, toolsPod } from "../../../kubernetes/running-pod.ts";
import { arnSaid, podOf, said } from "../client-output.ts";
import { createObjects } from "../create-objects.ts";
import { eventually } from "../eventually.ts";
import * as installation from "../installation.ts";
import { ISSUER } from "../product-cluster.ts";
import { SHIM_ACCOUNT } from "../shim-agent.ts";
import * as workloads from "../workloads.ts";
import { LEGACY, ROLE_KEY, type InstalledShim } from "./installed-shim.ts";
import type { RepeatingSdk } from "./repeating-sdks.ts";
import { usesOf } from "./rights.ts";
import { NODES } from "./watchers.ts";

const { TEAM } = installation;

/** Whose credentials pods get, and by which tokens. */
export function itGivesPodsTheirRole(
  shim: () => InstalledShim,
  sdks: readonly RepeatingSdk[],
): void {
  for (const { title, apps, skip } of sdks) {
    it(`gives pods their own role for ${title}, which knows nothing of AWS`, { skip }, async () => {
      const { cluster } = shim();
      for (const app of apps) {
        const place = { namespace: TEAM, app, container: "app" };
        for (const client of ["kept", "new"]) {
          const pattern = new RegExp(`^\\{"client":"${client}","arn":"(.*)"\\}$`, "m");
          const arn = await said(cluster, place, pattern);
          assert.match(arn, new RegExp(`:assumed-role/${workloads.ROLE_NAME}/${TEAM}\\.${app}`));
        }
      }
    });
  }

  it("gives pods with kube2iam's annotation their role, by the token that the webhook added", async () => {
    const { cluster, roleArn } = shim();
    const pods = NODES.map((nodeName) =>
      annotated(
        `annotated-${nodeName}`,
        // Its token is a file of that user alone.
        { nodeName, securityContext: { runAsUser: 1000 } },
        roleArn,
      ),
    );
    await untilTokensAreAdded(cluster, roleArn);
    await createObjects(cluster, LEGACY, pods);
    await createAsker(cluster, roleArn);
    for (const nodeName of NODES) {
      const app = `annotated-${nodeName}`;
      const place = { namespace: LEGACY, app, container: "app" };
      const arn = await said(cluster, place, /^\{"client":"new","arn":"(.*)"\}$/m);
      assert.match(arn, new RegExp(`:assumed-role/${workloads.ROLE_NAME}/${LEGACY}\\.${app}`));
      const pod = await podOf(cluster.admin.core, LEGACY, app);
      assert.doesNotMatch(JSON.stringify(pod?.spec), /AWS_/);
    }
    const asked = (await usesOf(cluster, SHIM_ACCOUNT)).filter(
      ({ resource }) => resource === "/serviceaccounts/token",
    );
    assert.deepEqual([...new Set(asked.map(({ namespace }) => namespace))], [TEAM]);
  });

  it("gives container credentials to a pod on the host's network", async () => {
    const { cluster } = shim();
    const folder = "/var/run/secrets/pods.eks.amazonaws.com/serviceaccount";
    const audience = "pods.eks.amazonaws.com";
    const env = Object.entries({
      AWS_REGION: installation.REGION,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://169.254.170.23/v1/credentials",
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: `${folder}/token`,
    }).map(([name, value]) => ({ name, value }));
    const volumeMounts = [{ name: "token", mountPath: folder, readOnly: true }];
    const sources = [{ serviceAccountToken: { audience, path: "token" } }];
    await createObjects(cluster, TEAM, [
      workloads.endingPod("on-host", {
        hostNetwork: true,
        dnsPolicy: "ClusterFirstWithHostNet",
        containers: [workloads.client("app", { env, volumeMounts })],
        volumes: [{ name: "token", projected: { sources } }],
      }),
    ]);
    const place = { namespace: TEAM, app: "on-host", container: "app" };
    assert.match(await arnSaid(cluster, place), new RegExp(`/${TEAM}\\.on-host`));
  });

  it("shows STS the token of each pod's own ServiceAccount, and nobody else's", () => {
    const { product } = shim();
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
}

function annotated(name: string, spec: Partial<V1PodSpec>, role: string): object {
  const containers = [workloads.client("app", { args: ["/client/repeat-v3.mjs"] })];
  return workloads.endingPod(name, { containers, ...spec }, { [ROLE_KEY]: role });
}

/** A pod with a shell, whose role stands in its annotation. */
async function createAsker(cluster: Cluster, roleArn: string): Promise<void> {
  const { spec } = toolsPod("asker", {
    nodeName: "node-0",
    serviceAccountName: workloads.SERVICE_ACCOUNT,
  });
  const metadata = { name: "asker", annotations: { [ROLE_KEY]: roleArn } };
  await createReadyPod(cluster.admin.core, LEGACY, { metadata, ...(spec && { spec }) });
}

/** Resolves when a pod with the annotation would get a token. */
async function untilTokensAreAdded({ admin }: Cluster, roleArn: string): Promise<void> {
  await eventually("a pod that would get a token", async () => {
    const body = annotated("would-be", {}, roleArn);
    const pod = await admin.core.createNamespacedPod({ namespace: LEGACY, body, dryRun: "All" });
    return JSON.stringify(pod.spec).includes("aws-iam-token") || undefined;
  });
}
