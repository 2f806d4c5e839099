import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunComponent } from "./components.ts";
import type { ClusterCredentials } from "./credentials.ts";
import { onFreePort } from "./free-port.ts";
import { httpsGet } from "./https-get.ts";
import { createKubeClients, type KubeClients } from "./kube-clients.ts";
import type { Network } from "./network.ts";
import { untilReady } from "./until-ready.ts";

interface ControllerOptions {
  readonly folder: string;
  /** Of an API server, in the network. */
  readonly url: string;
  readonly network: Network;
  readonly credentials: ClusterCredentials;
  readonly run: RunComponent;
}

/**
 * Starts kube-controller-manager with all its controllers, and resolves when the ServiceAccount
 * `default/default` exists.
 */
export async function startControllerManager(
  options: ControllerOptions,
  admin: KubeClients,
): Promise<void> {
  const { folder } = options;
  await startController(
    options,
    "kube-controller-manager",
    [
      "--use-service-account-credentials=true",
      `--root-ca-file=${join(folder, "ca.crt")}`,
      `--service-account-private-key-file=${join(folder, "service-account.pem")}`,
    ],
    async () => {
      await admin.core.readNamespacedServiceAccount({ namespace: "default", name: "default" });
      return true;
    },
  );
}

/** Starts kube-scheduler, and resolves when it is healthy. */
export async function startScheduler(options: ControllerOptions): Promise<void> {
  await startController(options, "kube-scheduler", [], async () => true);
}

async function startController(
  { folder, url, network, credentials, run }: ControllerOptions,
  component: "kube-controller-manager" | "kube-scheduler",
  flags: readonly string[],
  isWorking: () => Promise<boolean>,
): Promise<void> {
  const kubeconfig = join(folder, `${component}.kubeconfig`);
  const { caPem } = credentials;
  const user =
    component === "kube-scheduler" ? credentials.scheduler : credentials.controllerManager;
  const { kubeConfig } = createKubeClients({ url, caPem }, component, user);
  await writeFile(kubeconfig, kubeConfig.exportConfig());
  await onFreePort(["127.0.0.1"], network.pickPort, async (port) => {
    const ownUrl = await network.reach("127.0.0.1", port);
    const supervised = await run(component, [
      `--kubeconfig=${kubeconfig}`,
      "--leader-elect=false",
      // With the default of 20 a second, controllers wait 4 seconds for their own start.
      "--kube-api-qps=500",
      "--kube-api-burst=500",
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      `--tls-cert-file=${join(folder, "serving.crt")}`,
      `--tls-private-key-file=${join(folder, "serving.key")}`,
      ...flags,
    ]);
    await untilReady(supervised, async () => {
      const { status } = await httpsGet(`${ownUrl}/healthz`, { caPem });
      return status === 200 && (await isWorking());
    });
  });
}
