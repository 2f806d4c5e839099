import { buildGoProgram } from "./go-build.ts";
import { startControlPlane, type ControlPlane, type ControlPlaneOptions } from "./control-plane.ts";
import { createKubeClients } from "./kube-clients.ts";
import type { Network } from "./network.ts";
import {
  apiServerAddress,
  METADATA_ADDRESS,
  METADATA_ADDRESS_6,
  type NetworkLayout,
} from "./nodes/addresses.ts";
import { createBusyboxImages } from "./nodes/busybox-images.ts";
import { coreDnsProgram, DNS_USER, startClusterDns } from "./nodes/cluster-dns.ts";
import { prepareNode, type ClusterNode, type PreparedNode } from "./nodes/cluster-node.ts";
import type { Cni } from "./nodes/cni.ts";
import { startLinkedMachines } from "./nodes/linked-machines.ts";
import type { Machine } from "./nodes/machine.ts";
import { createMetadataStandIn, type MetadataCall } from "./nodes/metadata-stand-in.ts";
import { createPublisher, type Publish } from "./nodes/publisher.ts";
import { startSocketAgent, type SocketAgent } from "./nodes/socket-agent.ts";
import { createProgramRunner, type ProgramRunner } from "./program-runner.ts";
import { runCommand } from "./run-command.ts";
import { createWorkspace } from "./workspace.ts";

/** What a cluster is made of. It always has its controllers. */
export interface ClusterOptions extends Omit<
  ControlPlaneOptions,
  "controllerManager" | "network" | "scheduler"
> {
  /** How many; default 1. */
  readonly nodes?: number | undefined;
  /** How pods are linked to their node, or to each of them in turn. Default `bridge`. */
  readonly cni?: Cni | readonly Cni[] | undefined;
  /** Whether nodes and pods have IPv6 addresses too, and the metadata service; default false. */
  readonly ipv6?: boolean | undefined;
  /** Of the IPv4 subnet for the pods of a node, 24 to 30; default 24. */
  readonly podSubnetBits?: number | undefined;
  /** Paths of docker-archives that every node has, beside TOOLS_IMAGE. */
  readonly images?: readonly string[] | undefined;
}

/**
 * A running Kubernetes with nodes, in networks of its own that have no route to this machine's. Its
 * control plane runs in the network of the first node. Ends when it is disposed of.
 */
export interface Cluster extends ControlPlane {
  readonly nodes: readonly [ClusterNode, ...ClusterNode[]];
  /** Imports a docker-archive into every node. Its pods need `imagePullPolicy: Never`. */
  loadImage(tarFile: string): Promise<void>;
  /**
   * Runs kubectl as a member of `system:masters`, and resolves with its stdout.
   *
   * @throws Error with its stderr.
   */
  kubectl(...args: readonly string[]): Promise<string>;
  /** {@link kubectl} with something on its stdin: `kubectlWith(yaml, "apply", "-f", "-")`. */
  kubectlWith(stdin: string, ...args: readonly string[]): Promise<string>;
  readonly publish: Publish;
  /**
   * Lets this process reach a TCP server of the cluster by its IP address, a Service's included: resolves
   * with a port on 127.0.0.1.
   */
  forward(address: string, port: number): Promise<number>;
  /** The calls that reached the stand-in of the metadata service, oldest first. */
  metadataCalls(): readonly MetadataCall[];
}

const FIRST_PORT = 6443;

/**
 * Starts a cluster, and resolves when its nodes are Ready and its DNS answers. Needs root, and Linux
 * with what {@link missingNodeParts} looks for. Builds the programs when the cache lacks them.
 *
 * Any number may run at once, with the same addresses, and nothing survives: not a failed start, nor the
 * end of this process, whatever ends it.
 *
 * @throws AppError KUBERNETES_UNAVAILABLE naming the program, with the end of its log.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const { env = process.env, progress = (message) => process.stderr.write(`${message}\n`) } =
    options;
  const { nodes: nodeCount = 1, cni = "bridge", images = [], apiServers = [{}] } = options;
  const { ipv6 = false, podSubnetBits = 24 } = options;
  const layout = { ipv6, podSubnetBits };
  const dnsBinary = await buildGoProgram(coreDnsProgram(env), { env, progress });

  await using stack = new AsyncDisposableStack();
  const { path: folder, name: cgroupParent } = stack.use(await createWorkspace(env["TMPDIR"]));
  const programs = stack.use(createProgramRunner(folder, env["PATH"]));
  const { cloud, nodes: machines } = await startLinkedMachines(programs, {
    nodes: nodeCount,
    apiServers: apiServers.length,
    layout,
  });
  const [first] = machines;
  const cloudAgent = stack.use(await startSocketAgent(cloud));
  const nodeAgent = stack.use(await startSocketAgent(first));

  const [plane, nodes, metadataCalls] = await all([
    startPlane(stack, { ...options, network: networkOf(first, nodeAgent) }),
    prepareNodes(programs, machines, { images, cni, layout, cgroupParent }),
    serveMetadata(cloudAgent, layout),
  ]);
  const { admin, caPem, commandOf, networkUrl } = plane;
  const kubeconfigOf = async (user: string, ...groups: string[]): Promise<string> => {
    const certificate = await plane.issueClient(user, ...groups);
    const endpoint = { url: networkUrl, caPem };
    return createKubeClients(endpoint, user, certificate).kubeConfig.exportConfig();
  };
  const [dns] = await all([
    startClusterDns(programs, first, {
      binary: dnsBinary,
      address: nodes[0].address,
      kubeconfig: await kubeconfigOf(DNS_USER),
      admin,
    }),
    all(nodes.map((node) => node.join({ commandOf, core: admin.core, caPem, kubeconfigOf }))),
  ]);
  await all(machines.map((machine) => dns.untilReachable(machine)));

  const running = stack.move();
  const kubectlWith: Cluster["kubectlWith"] = (stdin, ...args) => {
    const kubectl = [...commandOf("kubectl"), `--kubeconfig=${plane.kubeconfig}`];
    return runCommand([...kubectl, ...args], { env: programs.env, stdin });
  };
  return {
    ...plane,
    nodes,
    async loadImage(tarFile) {
      await all(nodes.map((node) => node.loadImage(tarFile)));
    },
    kubectl: (...args) => kubectlWith("", ...args),
    kubectlWith,
    publish: createPublisher(cloud, cloudAgent, dns),
    forward: (address, port) => nodeAgent.forward(address, port),
    metadataCalls,
    logs: async () => ({ ...(await plane.logs()), ...(await programs.logs()) }),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The network of a node, as the place of the control plane. */
function networkOf(machine: Machine, agent: SocketAgent): Network {
  let nextPort = FIRST_PORT;
  return {
    apiServerHosts: (count) => Array.from({ length: count }, (_, i) => apiServerAddress(i)),
    // Nobody else is there to take one.
    pickPort: async () => nextPort++,
    command: machine.inNetwork,
    reach: async (host, port) => `https://127.0.0.1:${await agent.forward(host, port)}`,
  };
}

async function startPlane(
  stack: AsyncDisposableStack,
  options: ControlPlaneOptions,
): Promise<ControlPlane> {
  return stack.use(
    await startControlPlane({ ...options, controllerManager: true, scheduler: true }),
  );
}

async function prepareNodes(
  programs: ProgramRunner,
  machines: readonly Machine[],
  {
    images,
    cni,
    layout,
    cgroupParent,
  }: {
    readonly images: readonly string[];
    readonly cni: Cni | readonly Cni[];
    readonly layout: NetworkLayout;
    readonly cgroupParent: string;
  },
): Promise<readonly [PreparedNode, ...PreparedNode[]]> {
  const [own, nodes] = await all([
    createBusyboxImages(programs.folder),
    all(
      machines.map((machine, index) => {
        const link = typeof cni === "string" ? cni : (cni[index % cni.length] ?? "bridge");
        return prepareNode(programs, machine, { index, cni: link, layout, cgroupParent });
      }),
    ),
  ]);
  const [first, ...others] = nodes;
  if (first === undefined) throw new Error("Expected at least one node");
  await all(
    nodes.map(async (node) => {
      // One by one: at the same time they would wait for each other, and longer.
      for (const image of [...own, ...images]) await node.loadImage(image);
    }),
  );
  return [first, ...others];
}

async function serveMetadata(
  agent: SocketAgent,
  { ipv6 }: NetworkLayout,
): Promise<() => readonly MetadataCall[]> {
  const { server, calls } = createMetadataStandIn();
  for (const address of ipv6 ? [METADATA_ADDRESS, METADATA_ADDRESS_6] : [METADATA_ADDRESS]) {
    const listener = await agent.listen(address, 80);
    listener.on("connection", (socket) => server.emit("connection", socket));
  }
  return calls;
}

/** Like Promise.all, and all have ended also when one failed: then nothing is started any more. */
async function all<T extends readonly unknown[] | []>(
  promises: T,
): Promise<{ -readonly [P in keyof T]: Awaited<T[P]> }> {
  await Promise.allSettled(promises);
  return Promise.all(promises);
}
