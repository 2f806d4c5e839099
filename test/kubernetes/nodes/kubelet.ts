import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { CommandOf } from "../components.ts";
import type { ProgramRunner } from "../program-runner.ts";
import { DNS_SERVICE_IP } from "../service-network.ts";
import type { SupervisedProcess } from "../supervised-process.ts";
import { CONTAINERD_SOCKET } from "./containerd.ts";
import type { Machine } from "./machine.ts";

export const CLUSTER_DOMAIN = "cluster.local";

export interface NodeProgramOptions {
  readonly commandOf: CommandOf;
  /** Kubeconfig, as text, of the program's own user. */
  readonly kubeconfig: string;
}

/** Starts a machine's kubelet, which joins the cluster as the node of the machine's name. */
export async function startKubelet(
  programs: ProgramRunner,
  machine: Machine,
  {
    addresses,
    caPem,
    cgroup,
    ...options
  }: NodeProgramOptions & {
    /** The node's, one of each family. */
    readonly addresses: readonly string[];
    readonly caPem: string;
    /** As {@link createCgroup} has made it. */
    readonly cgroup: string;
  },
): Promise<SupervisedProcess> {
  const caFile = join(programs.folder, `kubelet-${machine.name}-ca.crt`);
  const resolvFile = join(programs.folder, `kubelet-${machine.name}-resolv.conf`);
  await writeFile(caFile, caPem);
  // What pods inherit with dnsPolicy Default: there is no name server outside.
  await writeFile(resolvFile, "");
  const config = {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: caFile },
    },
    authorization: { mode: "Webhook" },
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroup}`,
    failCgroupV1: false,
    enforceNodeAllocatable: [],
    containerRuntimeEndpoint: `unix://${CONTAINERD_SOCKET}`,
    clusterDNS: [DNS_SERVICE_IP],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: resolvFile,
    failSwapOn: false,
    // A full disk of the machine is no reason to end pods, and images stay.
    evictionHard: {
      "memory.available": "1Mi",
      "nodefs.available": "0%",
      "imagefs.available": "0%",
    },
    imageGCHighThresholdPercent: 100,
    // Fails instead of changing what the kernel has only once: see machine.ts.
    protectKernelDefaults: true,
    // A better score than that of its parent takes CAP_SYS_RESOURCE.
    oomScoreAdj: 0,
    maxPods: 250,
    // What a test kills is started again at once, also the tenth time.
    crashLoopBackOff: { maxContainerRestartPeriod: "1s" },
    // The default is a folder below /usr, which is this machine's.
    volumePluginDir: "/var/lib/kubelet/volume-plugins",
  };
  return startNodeProgram(programs, machine, "kubelet", config, options, [
    `--hostname-override=${machine.name}`,
    `--node-ip=${addresses.join(",")}`,
    "--root-dir=/var/lib/kubelet",
  ]);
}

/** Starts a machine's kube-proxy. */
export async function startKubeProxy(
  programs: ProgramRunner,
  machine: Machine,
  { podCidrs, ...options }: NodeProgramOptions & { readonly podCidrs: readonly string[] },
): Promise<SupervisedProcess> {
  const config = {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    mode: "iptables",
    clusterCIDR: podCidrs.join(","),
    hostnameOverride: machine.name,
    clientConnection: {
      kubeconfig: join(programs.folder, `kube-proxy-${machine.name}.kubeconfig`),
    },
    // These limits are the whole machine's.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
    oomScoreAdj: 0,
  };
  return startNodeProgram(programs, machine, "kube-proxy", config, options, []);
}

async function startNodeProgram(
  programs: ProgramRunner,
  machine: Machine,
  component: "kubelet" | "kube-proxy",
  config: object,
  { commandOf, kubeconfig }: NodeProgramOptions,
  flags: readonly string[],
): Promise<SupervisedProcess> {
  const name = `${component}-${machine.name}`;
  const configFile = join(programs.folder, `${name}.json`);
  const kubeconfigFile = join(programs.folder, `${name}.kubeconfig`);
  await writeFile(configFile, JSON.stringify(config));
  await writeFile(kubeconfigFile, kubeconfig);
  const access = component === "kubelet" ? [`--kubeconfig=${kubeconfigFile}`] : [];
  const commandLine = [...commandOf(component), `--config=${configFile}`, ...access, ...flags];
  return programs.start(name, machine.inside(commandLine));
}
