import type { CoreV1Api } from "@kubernetes/client-node";
import type { CommandOf } from "../components.ts";
import type { ProgramRunner } from "../program-runner.ts";
import type { WrapCommand } from "../run-command.ts";
import type { SupervisedProcess } from "../supervised-process.ts";
import { untilReady } from "../until-ready.ts";
import { nodeNetwork, podCidrs, type NetworkLayout, type NodeNetwork } from "./addresses.ts";
import { createCgroup } from "./cgroups.ts";
import type { Cni } from "./cni.ts";
import { CONTAINERD_SOCKET, startContainerd } from "./containerd.ts";
import { startKubelet, startKubeProxy } from "./kubelet.ts";
import type { Machine } from "./machine.ts";

/** A node of a cluster. */
export interface ClusterNode extends NodeNetwork {
  readonly name: string;
  /** The first of its addresses, of IPv4. */
  readonly address: string;
  /** The command line that runs another one on the node, for `spawn`. */
  readonly inside: WrapCommand;
  /** Runs a command on the node as root, and resolves with its stdout. @throws Error with its stderr. */
  readonly run: (...commandLine: readonly string[]) => Promise<string>;
  /** Imports a docker-archive, as {@link createDockerArchive} or `buildah push` makes it. */
  loadImage(tarFile: string): Promise<void>;
  /** Ends kubelet with SIGKILL, and starts it again. */
  restartKubelet(): Promise<void>;
  /** Ends kubelet and containerd with SIGKILL, as a crash does. Pods that run go on running. */
  kill(): Promise<void>;
}

/** A machine with containerd, which is not yet part of its cluster. */
export interface PreparedNode extends ClusterNode {
  /** Starts kubelet and kube-proxy, and resolves when the node is Ready and takes pods. */
  join(cluster: JoinedCluster): Promise<void>;
}

export interface JoinedCluster {
  readonly commandOf: CommandOf;
  readonly core: CoreV1Api;
  readonly caPem: string;
  /** Makes the kubeconfig, as text, of a user in these groups. */
  readonly kubeconfigOf: (user: string, ...groups: string[]) => Promise<string>;
}

/** Starts containerd on a machine. @throws AppError KUBERNETES_UNAVAILABLE */
export async function prepareNode(
  programs: ProgramRunner,
  machine: Machine,
  {
    index,
    cni,
    layout,
    cgroupParent,
  }: {
    readonly index: number;
    readonly cni: Cni;
    readonly layout: NetworkLayout;
    readonly cgroupParent: string;
  },
): Promise<PreparedNode> {
  const { name } = machine;
  const network = nodeNetwork(index, layout);
  const { addresses, podSubnets } = network;
  // Each its own: a kubelet deletes the cgroups of pods that it does not know.
  const cgroup = `${cgroupParent}/${name}`;
  await createCgroup(cgroup);
  const containerd = await startContainerd(programs, machine, { cni, podSubnets });
  let kubelet: SupervisedProcess | undefined;
  let startOwnKubelet: (() => Promise<SupervisedProcess>) | undefined;
  return {
    name,
    ...network,
    address: addresses[0],
    inside: machine.inside,
    run: machine.run,
    async loadImage(tarFile) {
      const ctr = ["ctr", `--address=${CONTAINERD_SOCKET}`, "--namespace=k8s.io"];
      await machine.run(...ctr, "images", "import", tarFile);
    },
    async join({ commandOf, core, caPem, kubeconfigOf }) {
      // Who they are: kubernetes.io/docs/reference/access-authn-authz/node.
      const [kubeletAccess, kubeProxyAccess] = await Promise.all([
        kubeconfigOf(`system:node:${name}`, "system:nodes"),
        kubeconfigOf("system:kube-proxy"),
      ]);
      startOwnKubelet = () =>
        startKubelet(programs, machine, {
          commandOf,
          addresses,
          caPem,
          cgroup,
          kubeconfig: kubeletAccess,
        });
      const started = await startOwnKubelet();
      kubelet = started;
      await startKubeProxy(programs, machine, {
        commandOf,
        podCidrs: podCidrs(layout),
        kubeconfig: kubeProxyAccess,
      });
      await untilReady(started, async () => {
        const { spec, status } = await core.readNode({ name });
        const ready = status?.conditions?.find(({ type }) => type === "Ready");
        return ready?.status === "True" && (spec?.taints ?? []).length === 0;
      });
    },
    async restartKubelet() {
      await kubelet?.stop(0);
      kubelet = await startOwnKubelet?.();
    },
    async kill() {
      await Promise.all([kubelet?.stop(0), containerd.stop(0)]);
    },
  };
}
