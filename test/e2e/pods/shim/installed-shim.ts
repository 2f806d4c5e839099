import { join } from "node:path";
import { NAMESPACE } from "../../../helm/rendered-chart.ts";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { createBoto3Image } from "../boto3-image.ts";
import { createObjects } from "../create-objects.ts";
import * as installation from "../installation.ts";
import { watcherPod } from "../metadata-watcher.ts";
import type { ProductCluster } from "../product-cluster.ts";
import { SHIM_NAMESPACE, untilShimRolledOut } from "../shim-agent.ts";
import { timed } from "../timed.ts";
import * as workloads from "../workloads.ts";
import { podsOf, type RepeatingSdk } from "./repeating-sdks.ts";
import { NODES, untilEachWatcher, WATCHED } from "./watchers.ts";

const { TEAM } = installation;
/** Its pods have an annotation for their role, as with kube2iam. */
export const LEGACY = "legacy";
/** Its pods get container credentials. */
export const IDENTITIES = "identities";
export const ROLE_KEY = "iam.amazonaws.com/role";
export const CREDENTIALS_PATH = "/latest/meta-data/iam/security-credentials/";
export const METRICS_PORT = 8183;
export const TAINT = "irsa-anywhere.io/shim-not-ready";
export const OTHER_TAINT = "example.com/other";
const WEBHOOK = {
  settings: { "aws-default-region": installation.REGION, "metadata-shim-annotation": ROLE_KEY },
  containerCredentials: { configMap: IDENTITIES },
};

/** The shim as the chart installed it, with what runs beside it. */
export interface InstalledShim {
  readonly product: ProductCluster;
  readonly cluster: Cluster;
  /** Of the workloads in all namespaces. */
  readonly roleArn: string;
  /** When the rules were in. */
  readonly closedAtMs: number;
  /** How many calls the node's metadata service had seen then. */
  readonly callsBefore: number;
}

/**
 * Installs the shim on nodes whose pods have reached the node's role, and starts the pods of SDKs. Each
 * node has the shim's taint, and the second another one too.
 */
export async function installShim(
  product: ProductCluster,
  sdks: readonly RepeatingSdk[],
): Promise<InstalledShim> {
  const { cluster, folder, awsPlace } = product;
  await cluster.createServiceAccount(LEGACY, workloads.SERVICE_ACCOUNT);
  // Whoever asks for another role than its own gets an Event.
  const watchedArn = "arn:aws:iam::111122223333:role/watched";
  await installation.createNamespace(cluster, WATCHED, watchedArn);
  await createObjects(cluster, WATCHED, NODES.map(watcherPod));
  if (sdks.every(({ skip }) => skip === false)) {
    const file = join(folder, "boto3.tar");
    await createBoto3Image({ folder, file, aws: awsPlace });
    await cluster.loadImage(file);
  }
  await untilEachWatcher(cluster, "the node's role", (sights) =>
    ["kept", "new"].every((wanted) =>
      sights.some(({ connection, isNode }) => connection === wanted && isNode === true),
    ),
  );
  await cluster.kubectl("taint", "nodes", "--all", `${TAINT}=:NoSchedule`);
  await cluster.kubectl("taint", "nodes", "node-1", `${OTHER_TAINT}=:PreferNoSchedule`);
  const authorities = { metadata: { name: "aws" }, data: { "ca.crt": awsPlace.caPem } };
  await createObjects(cluster, SHIM_NAMESPACE, [
    { apiVersion: "v1", kind: "ConfigMap", ...authorities },
  ]);
  await installation.prepareNamespace(product);
  const identities = [{ namespace: IDENTITIES, serviceAccount: workloads.SERVICE_ACCOUNT }];
  const named = { "identities.json": JSON.stringify({ identities }) };
  await createObjects(cluster, NAMESPACE, [
    { apiVersion: "v1", kind: "ConfigMap", metadata: { name: IDENTITIES }, data: named },
  ]);
  const closed = await timed("helm install until all of it runs", async () => {
    await install(product);
    await untilShimRolledOut(cluster);
    const seen = { closedAtMs: Date.now(), callsBefore: cluster.metadataCalls().length };
    await installation.untilRolledOut(cluster, "irsa-webhook", "irsa-issuer");
    return seen;
  });
  await installation.publishService(product);
  const roleArn = await installation.createRole(product, [TEAM, LEGACY, IDENTITIES]);
  await installation.createNamespace(cluster, TEAM, roleArn);
  await installation.createCoveredNamespace(cluster, IDENTITIES, roleArn);
  await cluster.kubectl("label", "namespace", LEGACY, "irsa-anywhere.io/injection=enabled");
  // What kiam's manifest and profile take for granted.
  await cluster.kubectl("annotate", "namespace", LEGACY, "iam.amazonaws.com/permitted=.*");
  await cluster.kubectl("label", "nodes", "--all", "kubernetes.io/role=node");
  const tls = { metadata: { name: "kiam-agent-tls" }, stringData: { "ca.pem": "none" } };
  await createObjects(cluster, SHIM_NAMESPACE, [{ apiVersion: "v1", kind: "Secret", ...tls }]);
  await createObjects(cluster, TEAM, podsOf(sdks));
  return { product, cluster, roleArn, ...closed };
}

async function install(product: ProductCluster): Promise<void> {
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

/** Upgrades the release to other values of the shim. */
export async function upgradeShim(product: ProductCluster, shim: object): Promise<void> {
  await installation.runHelm(product, "upgrade", { webhook: WEBHOOK, shim });
}
