import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { imageSettingsOf } from "../../scripts/image/image-settings.ts";
import { freePort } from "../kubernetes/free-port.ts";
import { startTrustedCluster, type TrustedCluster } from "../shim/trusted-cluster.ts";
import { buildBundle } from "./bundle.ts";
import type { Cores } from "./cores.ts";
import {
  createNodePods,
  createPodsOfOthers,
  NODE_ADDRESS,
  NODE_NAME,
  writeProcesses,
  type NodePod,
} from "./node-pods.ts";
import { failureOf, startServerProcess, type ServerProcess } from "./server-process.ts";
import { untilOk } from "./until-ok.ts";

export const ROLE_NAME = "checkout";
const REGION = "eu-west-1";

/** A cluster with a node full of pods, and an AWS that trusts it. */
export interface ShimGround extends TrustedCluster {
  readonly pods: readonly NodePod[];
  /** Like `/proc` of the node. */
  readonly processes: string;
}

/** The shim as it ships, in a process of its own. */
export interface RunningShim {
  readonly server: ServerProcess;
  readonly port: number;
  /** Of container credentials. */
  readonly agentPort: number;
}

/** Starts everything around the shim. Whatever it starts is on `stack`. */
export async function prepareShimGround(
  {
    pods,
    podsOfNode,
    progress,
  }: {
    readonly pods: number;
    readonly podsOfNode: number;
    readonly progress: (message: string) => void;
  },
  stack: AsyncDisposableStack,
): Promise<ShimGround> {
  const cluster = await startTrustedCluster(stack);
  const { stage, kube, trust } = cluster;
  const roleArn = await trust.createRole(ROLE_NAME);
  progress(`Creating ${pods} pods`);
  const own = await createNodePods(kube, podsOfNode, roleArn);
  await createPodsOfOthers(kube, pods - podsOfNode);
  const processes = await writeProcesses(stage.folder, own);
  return { ...cluster, pods: own, processes };
}

/** Builds and starts the shim, and waits until it knows the pods of its node. */
export async function startBenchShim(
  { stage, kubeconfig, aws, processes }: ShimGround,
  { cores, nodeFlags = [] }: { readonly cores: Cores; readonly nodeFlags?: readonly string[] },
  stack: AsyncDisposableStack,
): Promise<RunningShim> {
  const bundle = await buildBundle(stage.folder);
  const [port, agentPort] = [await freePort([NODE_ADDRESS]), await freePort([NODE_ADDRESS])];
  const adminPort = await freePort(["127.0.0.1"]);
  const settings = {
    "--kubeconfig": kubeconfig,
    "--node": NODE_NAME,
    "--region": REGION,
    "--host-ip": NODE_ADDRESS,
    "--bind-address": NODE_ADDRESS,
    "--app-port": port,
    "--admin-port": adminPort,
    "--state-dir": stage.folder,
    "--kubelet-root": join(stage.folder, "kubelet"),
    "--proc-folder": processes,
    // All pods of the node get credentials at once here, which takes hours elsewhere.
    "--sts-calls-per-minute": 60_000,
    "--container-credentials": true,
    "--container-credentials-host": NODE_ADDRESS,
    "--container-credentials-port": agentPort,
  };
  const args = Object.entries(settings).map(([flag, value]) => `${flag}=${value}`);
  const dockerfile = new URL("../../Dockerfile", import.meta.url);
  const image = imageSettingsOf(await readFile(fileURLToPath(dockerfile), "utf8"));
  const env = { ...image.env, AWS_ENDPOINT_URL_STS: aws.sts, AWS_CA_BUNDLE: aws.ca };
  const place = { folder: stage.folder, core: cores?.server, env };
  const command = [...image.nodeFlags, ...nodeFlags, bundle, "shim", ...args];
  const server = stack.use(await startServerProcess("shim", command, place));
  await Promise.race([
    untilOk({ host: "127.0.0.1", port: adminPort, path: "/readyz" }),
    failureOf(server),
  ]);
  return { server, port, agentPort };
}
