import { mkdir, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTrust } from "../../../cli/demo/aws-account.ts";
import type { RunningServer } from "../../../lib/http.ts";
import { INJECTION_LABEL } from "../../../webhook/coverage/tier.ts";
import { findHelm } from "../../helm/helm-program.ts";
import { CHART, NAMESPACE, RELEASE } from "../../helm/rendered-chart.ts";
import type { Cluster } from "../../kubernetes/cluster.ts";
import { httpsGet } from "../../kubernetes/https-get.ts";
import { eventually } from "./eventually.ts";
import { startIngress } from "./ingress.ts";
import { ISSUER, ISSUER_HOST, type ProductCluster } from "./product-cluster.ts";
import { ROLE_NAME, SERVICE_ACCOUNT } from "./workloads.ts";

/** The namespace of the workloads. */
export const TEAM = "team";
export const REGION = "eu-central-1";
/** The shortest that Kubernetes allows. */
export const TOKEN_LIFE_SECONDS = 600;
const ISSUER_TLS = "issuer-tls";
const { pathname: ISSUER_PATH } = new URL(ISSUER);
const DISCOVERY_PATH = "/.well-known/openid-configuration";
const root = fileURLToPath(new URL("../../../", import.meta.url));

/** An overlay as docs/install.md has them, for `kubectl apply -k`. @returns its folder. */
export async function writeOverlay(folder: string): Promise<string> {
  const overlay = join(folder, "overlay");
  await mkdir(overlay);
  await symlink(root, join(folder, "irsa-anywhere"));
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: ["../irsa-anywhere/manifests", "../irsa-anywhere/manifests/issuer"],
    patches: [
      environment("webhook", "IRSA_AWS_DEFAULT_REGION", REGION),
      environment("issuer", "IRSA_ISSUER", ISSUER),
    ],
  };
  await writeFile(join(overlay, "kustomization.yaml"), JSON.stringify(kustomization));
  return overlay;
}

function environment(component: string, name: string, value: string): object {
  const containers = [{ name: component, env: [{ name, value }] }];
  const deployment = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: `irsa-${component}`, namespace: NAMESPACE },
    spec: { template: { spec: { containers } } },
  };
  return { patch: JSON.stringify(deployment) };
}

/** Makes the namespace, with what has the issuer serve HTTPS itself. */
export async function prepareNamespace({ cluster, issuerPair }: ProductCluster): Promise<void> {
  await cluster.kubectl("apply", "-k", join(root, "manifests/namespace"));
  const secret = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: ISSUER_TLS, namespace: NAMESPACE },
    type: "kubernetes.io/tls",
    stringData: { "tls.crt": issuerPair.cert, "tls.key": issuerPair.key },
  };
  await cluster.kubectlWith(JSON.stringify(secret), "apply", "-f", "-");
}

/** Runs `helm install` or `helm upgrade`, and resolves with what it says. */
export async function runHelm(
  { cluster, folder }: ProductCluster,
  command: "install" | "upgrade",
  {
    webhook = {},
    issuer = {},
    ...values
  }: {
    readonly webhook?: object;
    readonly issuer?: object;
    readonly image?: object;
    readonly shim?: object;
  } = {},
): Promise<string> {
  const file = join(folder, "values.json");
  const all = {
    ...values,
    webhook: { settings: { "aws-default-region": REGION }, ...webhook },
    issuer: { enabled: true, url: ISSUER, tls: { secretName: ISSUER_TLS }, ...issuer },
  };
  await writeFile(file, JSON.stringify(all));
  const helm = await findHelm(process.env);
  const where = [`--namespace=${NAMESPACE}`, `--values=${file}`];
  const { stdout } = await helm([command, RELEASE, CHART, ...where], cluster);
  return stdout;
}

/** Runs `helm rollback` to the first revision. */
export async function rollBack({ cluster }: ProductCluster): Promise<void> {
  const helm = await findHelm(process.env);
  await helm(["rollback", RELEASE, "1", `--namespace=${NAMESPACE}`], cluster);
}

export async function uninstallRelease({ cluster }: ProductCluster): Promise<void> {
  const helm = await findHelm(process.env);
  await helm(["uninstall", RELEASE, `--namespace=${NAMESPACE}`], cluster);
}

/** Resolves when the Deployments are what was asked for, and nothing of before runs any more. */
export async function untilRolledOut(cluster: Cluster, ...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const where = [`deployment/${name}`, `--namespace=${NAMESPACE}`, "--timeout=300s"];
    await cluster.kubectl("rollout", "status", ...where);
  }
}

/**
 * Resolves when a pod of the covered namespace would get its role. The kube-proxy of a node takes a
 * moment to learn of the webhook's pods from when these are ready, and the API server to learn of
 * the configuration; a pod of that moment is let go without its role in an `enabled` namespace.
 */
export async function untilPodsAreMutated({ admin }: Cluster, namespace: string): Promise<void> {
  const containers = [{ name: "app", image: "localhost/none" }];
  const body = {
    metadata: { name: "would-be" },
    spec: { serviceAccountName: SERVICE_ACCOUNT, containers },
  };
  await eventually("a pod that would get its role", async () => {
    const pod = await admin.core.createNamespacedPod({ namespace, body, dryRun: "All" });
    return JSON.stringify(pod.spec).includes("AWS_ROLE_ARN") || undefined;
  });
}

/** Lets AWS reach the issuer as a load balancer does, which passes TLS through to the Service. */
export async function publishService(product: ProductCluster): Promise<void> {
  const { cluster } = product;
  await publish(product, await cluster.forward(await issuerAddress(cluster), 443));
}

/** Lets AWS reach the issuer by an Ingress, as the chart's routes it. */
export async function publishIngress(product: ProductCluster): Promise<RunningServer> {
  const { cluster, issuerPair } = product;
  const backendPort = await cluster.forward(await issuerAddress(cluster), 80);
  const paths = [DISCOVERY_PATH, "/openid/v1/jwks"].map((path) => `${ISSUER_PATH}${path}`);
  const ingress = await startIngress({ keyPair: issuerPair, paths, backendPort });
  await publish(product, ingress.port);
  return ingress;
}

async function publish({ aws, issuerPair }: ProductCluster, port: number): Promise<void> {
  aws.set({ resolve: { [ISSUER_HOST]: `127.0.0.1:${port}` } });
  const url = `https://127.0.0.1:${port}${ISSUER_PATH}${DISCOVERY_PATH}`;
  const asked = { caPem: issuerPair.cert, headers: { host: ISSUER_HOST } };
  // A Service may take a moment from when its pods are ready.
  await eventually("the issuer's discovery document", async () => {
    const answer = await httpsGet(url, asked).catch(() => undefined);
    return answer?.status === 200 ? answer : undefined;
  });
}

async function issuerAddress({ admin }: Cluster): Promise<string> {
  const service = { namespace: NAMESPACE, name: "irsa-issuer" };
  const { spec } = await admin.core.readNamespacedService(service);
  return spec?.clusterIP ?? "";
}

/**
 * Registers the issuer with AWS, and makes a role that the workloads' ServiceAccount may take.
 *
 * @param namespaces Where that ServiceAccount is.
 * @returns the ARN of the role.
 */
export async function createRole(
  { awsAccess }: ProductCluster,
  namespaces: readonly string[] = [TEAM],
): Promise<string> {
  const subject = namespaces.map((name) => `system:serviceaccount:${name}:${SERVICE_ACCOUNT}`);
  const trusted = { issuer: ISSUER, audience: "sts.amazonaws.com", subject };
  const { roleArn } = await createTrust(awsAccess, trusted, ROLE_NAME);
  return roleArn;
}

/** Makes a namespace with the workloads' ServiceAccount, annotated; that alone covers no pod. */
export async function createNamespace(
  cluster: Cluster,
  namespace: string,
  roleArn: string,
): Promise<void> {
  const annotations = {
    "eks.amazonaws.com/role-arn": roleArn,
    "eks.amazonaws.com/token-expiration": String(TOKEN_LIFE_SECONDS),
  };
  await cluster.createServiceAccount(namespace, SERVICE_ACCOUNT, annotations);
}

/** {@link createNamespace}, and its pods are covered. */
export async function createCoveredNamespace(
  cluster: Cluster,
  namespace: string,
  roleArn: string,
): Promise<void> {
  await createNamespace(cluster, namespace, roleArn);
  await cluster.kubectl("label", "namespace", namespace, `${INJECTION_LABEL}=enabled`);
}
