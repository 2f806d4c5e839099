import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { prepareStage, type Stage } from "../../cli/demo/stage.ts";
import { connect, type KubeConnection } from "../../lib/kube/connection.ts";
import { registerCluster, type Cluster } from "../aws/fixtures/cluster.ts";
import { startIssuer } from "../aws/fixtures/issuer-server.ts";
import { newSigningKey } from "../aws/fixtures/signing-keys.ts";
import { startAws, type Aws } from "../aws/start-aws.ts";
import { startApiProxy, type ApiProxy } from "../fakes/api-proxy.ts";
import { findComponents } from "../kubernetes/components.ts";
import { startControlPlane, type ControlPlane } from "../kubernetes/control-plane.ts";
import { createKubeClients } from "../kubernetes/kube-clients.ts";
import { createObject } from "./create-object.ts";

/** A real API server whose tokens AWS takes, and a shim's way to it through a proxy. */
export interface TrustedCluster {
  readonly stage: Stage;
  readonly plane: ControlPlane;
  readonly kube: KubeConnection;
  readonly aws: Aws;
  /** As AWS knows it. */
  readonly trust: Cluster;
  /** In front of the API server, for the shim alone. */
  readonly proxy: ApiProxy;
  /** The shim's kubeconfig. */
  readonly kubeconfig: string;
}

const KEYS_PATH = "/openid/v1/jwks";
const TIMEOUT_MS = 30_000;
const Keys = z.looseObject({ keys: z.array(z.unknown()) });

/**
 * Builds what {@link startTrustedCluster} runs, unless it is there: to be called before who calls that
 * goes into a network namespace, from which no registry is reached.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE
 */
export async function buildTrustedCluster(env: NodeJS.ProcessEnv): Promise<void> {
  await findComponents(["etcd", "kube-apiserver", "kubectl"], { env, progress: tell });
}

function tell(message: string): void {
  process.stderr.write(`${message}\n`);
}

/** Starts it. Whatever it starts is on `stack`. */
export async function startTrustedCluster(stack: AsyncDisposableStack): Promise<TrustedCluster> {
  const stage = stack.use(await prepareStage(["127.0.0.1"], Date.now()));
  const issuer = stack.use(await startIssuer());
  const aws = stack.use(await startAws({ trustCaPems: [issuer.authority.cert] }));
  // Tests ask more of it at once than it is made to let through.
  const unlimited = ["--max-requests-inflight=0", "--max-mutating-requests-inflight=0"];
  const flags = ["--enable-priority-and-fairness=false", ...unlimited];
  const plane = stack.use(await startControlPlane({ issuers: [issuer.url], flags }));
  const kube = connect({ kubeconfig: plane.kubeconfig });
  const accept = "application/jwk-set+json";
  const { body } = await kube.request({ path: KEYS_PATH, accept, timeoutMs: TIMEOUT_MS });
  issuer.publish(Keys.parse(body).keys);
  // The key is for tokens that are not the API server's, of which there are none here.
  const facts = { issuer: issuer.url, key: newSigningKey("ES256"), nowSeconds: 0 };
  const trust = await registerCluster(aws, facts);
  const { url, caPem } = plane;
  const proxy = stack.use(await startApiProxy({ url, caPem, keyPair: stage.keyPair }));
  const kubeconfig = join(stage.folder, "kubeconfig");
  await writeFile(kubeconfig, await shimAccess({ plane, kube, proxy, caPem: stage.caPem }));
  return { stage, plane, kube, aws, trust, proxy, kubeconfig };
}

/** A kubeconfig for the proxy, of a ServiceAccount that may do all. */
async function shimAccess({
  plane,
  kube,
  proxy: { url },
  caPem,
}: Pick<TrustedCluster, "plane" | "kube" | "proxy"> & { readonly caPem: string }): Promise<string> {
  const shim = { namespace: "irsa-system", name: "irsa-shim" };
  await plane.createServiceAccount(shim.namespace, shim.name);
  await createObject(kube, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
    metadata: { name: shim.name },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", ...shim }],
  });
  const { token } = await plane.requestToken({
    namespace: shim.namespace,
    serviceAccount: shim.name,
  });
  return createKubeClients({ url, caPem }, shim.name, { token }).kubeConfig.exportConfig();
}
