import type { ProgramRunner } from "../program-runner.ts";
import { runCommand } from "../run-command.ts";
import {
  apiServerAddress,
  cloudAddresses,
  isIpv6,
  METADATA_ADDRESS,
  METADATA_ADDRESS_6,
  nodeNetwork,
  type NetworkLayout,
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
  {
    nodes: nodeCount,
    apiServers,
    layout,
  }: { readonly nodes: number; readonly apiServers: number; readonly layout: NetworkLayout },
): Promise<LinkedMachines> {
  const names = Array.from({ length: nodeCount }, (_, i) => `node-${i}`);
  const [cloud, first, ...others] = await Promise.all(
    ["cloud", ...names].map((name) => startMachine(programs, name)),
  );
  if (cloud === undefined || first === undefined) throw new Error("Expected at least one node");
  const nodes = [first, ...others] as const;
  // In its network only, since the ids of the nodes' processes mean nothing inside of it.
  const pids = nodes.map(({ pid }) => pid);
  const links = ["/bin/sh", "-c", cloudScript(pids, layout)];
  await runCommand(cloud.inNetwork(links), programs);
  const scripts = nodes.map((_, i) => nodeScript(i, { nodes: nodeCount, apiServers, layout }));
  await Promise.all(nodes.map((node, i) => node.run("/bin/sh", "-c", scripts[i] ?? "")));
  return { cloud, nodes };
}

/** Run in the cloud's network: a bridge, to which each node is linked by a pair of virtual interfaces. */
function cloudScript(nodePids: readonly number[], layout: NetworkLayout): string {
  const metadata = [
    `${METADATA_ADDRESS}/32`,
    ...(layout.ipv6 ? [`${METADATA_ADDRESS_6}/128`] : []),
  ];
  return [
    "set -e",
    "ip link add br0 type bridge",
    ...[...cloudAddresses(layout), ...metadata].map((address) => addAddress(address, "br0")),
    "ip link set br0 up",
    ...nodePids.flatMap((pid, i) => [
      `ip link add node-${i} type veth peer name eth0 netns ${pid}`,
      `ip link set node-${i} master br0 up`,
      ...podRoutes(i, layout),
    ]),
  ].join("\n");
}

/**
 * Run in a node, after the cloud's. The default route ends in the cloud, which has none itself: nothing
 * in the cluster reaches the network of this machine.
 */
function nodeScript(
  index: number,
  {
    nodes,
    apiServers,
    layout,
  }: { readonly nodes: number; readonly apiServers: number; readonly layout: NetworkLayout },
): string {
  const { addresses } = nodeNetwork(index, layout);
  const clouds = cloudAddresses(layout).map((address) => address.split("/"));
  const own = addresses.map((address, i) => `${address}/${clouds[i]?.[1]}`);
  const planes = Array.from({ length: index === 0 ? apiServers : 0 }, (_, i) =>
    apiServerAddress(i),
  );
  const others = Array.from({ length: nodes }, (_, i) => i).filter((i) => i !== index);
  return [
    "set -e",
    ...own.map((address) => addAddress(address, "eth0")),
    ...planes.map((address) => addAddress(`${address}/24`, "eth0")),
    "ip link set eth0 up",
    ...clouds.map(([address = ""]) => addRoute("default", address)),
    ...others.flatMap((i) => podRoutes(i, layout)),
  ].join("\n");
}

/** The ways to the pods of a node. */
function podRoutes(index: number, layout: NetworkLayout): readonly string[] {
  const { addresses, podSubnets } = nodeNetwork(index, layout);
  return podSubnets.map((subnet, i) => addRoute(subnet, addresses[i] ?? ""));
}

function addAddress(address: string, link: string): string {
  // Nobody else is there who could have it.
  return `ip address add ${address} dev ${link}${isIpv6(address) ? " nodad" : ""}`;
}

function addRoute(target: string, via: string): string {
  return `ip ${isIpv6(via) ? "-6" : "-4"} route add ${target} via ${via}`;
}
