import type { ProgramRunner } from "../program-runner.ts";
import { runCommand } from "../run-command.ts";
import {
  apiServerAddress,
  CLOUD_ADDRESS,
  METADATA_ADDRESS,
  NODE_NETWORK_BITS,
  nodeAddress,
  podSubnet,
} from "./addresses.ts";
import { startMachine, type Machine } from "./machine.ts";

/** The machines of a cluster. */
export interface LinkedMachines {
  /** The world around the nodes, behind their default route. It has no route out itself. */
  readonly cloud: Machine;
  /** They become the nodes `node-0`, `node-1`, … */
  readonly nodes: readonly [Machine, ...Machine[]];
}

/** Starts the machines of a cluster, and links their networks with each other, with nothing else. */
export async function startLinkedMachines(
  programs: ProgramRunner,
  { nodes: nodeCount, apiServers }: { readonly nodes: number; readonly apiServers: number },
): Promise<LinkedMachines> {
  const names = Array.from({ length: nodeCount }, (_, i) => `node-${i}`);
  const [cloud, first, ...others] = await Promise.all(
    ["cloud", ...names].map((name) => startMachine(programs, name)),
  );
  if (cloud === undefined || first === undefined) throw new Error("Expected at least one node");
  const nodes = [first, ...others] as const;
  // In its network only, since the ids of the nodes' processes mean nothing inside of it.
  const links = ["/bin/sh", "-c", cloudScript(nodes.map(({ pid }) => pid))];
  await runCommand(cloud.inNetwork(links), programs);
  await Promise.all(
    nodes.map((node, i) => node.run("/bin/sh", "-c", nodeScript(i, nodeCount, apiServers))),
  );
  return { cloud, nodes };
}

/** Run in the cloud's network: a bridge, to which each node is linked by a pair of virtual interfaces. */
function cloudScript(nodePids: readonly number[]): string {
  return [
    "set -e",
    "ip link add br0 type bridge",
    `ip address add ${CLOUD_ADDRESS}/${NODE_NETWORK_BITS} dev br0`,
    `ip address add ${METADATA_ADDRESS}/32 dev br0`,
    "ip link set br0 up",
    ...nodePids.flatMap((pid, i) => [
      `ip link add node-${i} type veth peer name eth0 netns ${pid}`,
      `ip link set node-${i} master br0 up`,
      `ip route add ${podSubnet(i)} via ${nodeAddress(i)}`,
    ]),
  ].join("\n");
}

/**
 * Run in a node, after the cloud's. The default route ends in the cloud, which has none itself: nothing
 * in the cluster reaches the network of this machine.
 */
function nodeScript(index: number, nodes: number, apiServers: number): string {
  const own = [
    nodeAddress(index),
    ...(index === 0 ? Array.from({ length: apiServers }, (_, i) => apiServerAddress(i)) : []),
  ];
  const others = Array.from({ length: nodes }, (_, i) => i).filter((i) => i !== index);
  return [
    "set -e",
    ...own.map((address) => `ip address add ${address}/${NODE_NETWORK_BITS} dev eth0`),
    "ip link set eth0 up",
    `ip route add default via ${CLOUD_ADDRESS}`,
    ...others.map((i) => `ip route add ${podSubnet(i)} via ${nodeAddress(i)}`),
  ].join("\n");
}
