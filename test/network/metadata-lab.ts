import { createNamespace, type NetworkNamespace } from "./network-namespace.ts";

/**
 * A node with pods, and behind it the real metadata service, each in a namespace of its own:
 *
 * - two pods on a bridge, `br0` (bridge CNI), and one on a routed link of its own without an
 *   address, `cali1` (Calico, ptp)
 * - the metadata service, `real`, reached through the node's `eth0`
 * - the node also masquerades pods, as nodes do, so that the kernel tracks connections from the start
 */
export interface MetadataLab extends AsyncDisposable {
  readonly node: NetworkNamespace;
  readonly podA: NetworkNamespace;
  readonly podB: NetworkNamespace;
  readonly routedPod: NetworkNamespace;
}

export const NODE_IPS = { ipv4: "192.0.2.1", ipv6: "fd02::1" };
export const POD_IPS = {
  podA: { ipv4: "10.1.0.2", ipv6: "fd01::2" },
  podB: { ipv4: "10.1.0.3", ipv6: "fd01::3" },
  routedPod: { ipv4: "10.2.0.2", ipv6: "fd03::2" },
};
/** Of the server that stands for the metadata service. */
export const REAL = "real";
export const SHIM_PORT = 8181;

const LINK_LOCAL_GATEWAYS = { ipv4: "169.254.1.1", ipv6: "fe80::1" };

export async function startMetadataLab(backend: "nft" | "legacy"): Promise<MetadataLab> {
  await using resources = new AsyncDisposableStack();
  const make = async (name: string): Promise<NetworkNamespace> =>
    resources.use(await createNamespace(name));
  const node = await make("node");
  const [podA, podB, routedPod, service] = await Promise.all(
    ["podA", "podB", "routedPod", "service"].map(make),
  );
  if (!podA || !podB || !routedPod || !service) throw new Error("Expected four namespaces");

  /** A pair of links: `inside` in a namespace, `outside` in the node. */
  const link = (to: NetworkNamespace, outside: string): Promise<string> =>
    ip(node, `link add ${outside} type veth peer name eth0 netns ${to.pid}`);

  await ip(
    node,
    "link add br0 type bridge",
    "addr add 10.1.0.1/24 dev br0",
    "addr add fd01::1/64 dev br0 nodad",
    "link set br0 up",
  );
  await link(podA, "vethA");
  await link(podB, "vethB");
  await link(routedPod, "cali1");
  await link(service, "eth0");
  await ip(
    node,
    "link set vethA master br0 up",
    "link set vethB master br0 up",
    "link set cali1 up",
    `addr add ${LINK_LOCAL_GATEWAYS.ipv6}/64 dev cali1 nodad`,
    `route add ${POD_IPS.routedPod.ipv4}/32 dev cali1`,
    `route add ${POD_IPS.routedPod.ipv6}/128 dev cali1`,
    `addr add ${NODE_IPS.ipv4}/24 dev eth0`,
    `addr add ${NODE_IPS.ipv6}/64 dev eth0 nodad`,
    "link set eth0 up",
    "route add 169.254.169.254/32 via 192.0.2.2",
    "route add fd00:ec2::254/128 via fd02::2",
    // Without one the node answers no ARP for the gateway of a routed pod. It leads no further.
    "route add default via 192.0.2.2",
  );
  for (const [pod, { ipv4, ipv6 }] of [
    [podA, POD_IPS.podA],
    [podB, POD_IPS.podB],
  ] as const) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- a lab is made step by step
    await ip(
      pod,
      `addr add ${ipv4}/24 dev eth0`,
      `addr add ${ipv6}/64 dev eth0 nodad`,
      "link set eth0 up",
      "route add default via 10.1.0.1",
      "route add default via fd01::1",
    );
  }
  await ip(
    routedPod,
    `addr add ${POD_IPS.routedPod.ipv4}/32 dev eth0`,
    `addr add ${POD_IPS.routedPod.ipv6}/128 dev eth0 nodad`,
    "link set eth0 up",
    `route add ${LINK_LOCAL_GATEWAYS.ipv4} dev eth0 scope link`,
    `route add default via ${LINK_LOCAL_GATEWAYS.ipv4} dev eth0`,
    `route add default via ${LINK_LOCAL_GATEWAYS.ipv6} dev eth0`,
  );
  await ip(
    service,
    "addr add 192.0.2.2/24 dev eth0",
    "addr add fd02::2/64 dev eth0 nodad",
    "addr add 169.254.169.254/32 dev lo",
    "addr add fd00:ec2::254/128 dev lo nodad",
    "link set eth0 up",
    "route add 10.0.0.0/8 via 192.0.2.1",
    "route add fd01::/64 via fd02::1",
    "route add fd03::/64 via fd02::1",
  );
  // Of this namespace only.
  await node.run("sysctl", [
    "-q",
    "-w",
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv4.conf.cali1.proxy_arp=1",
    "net.ipv4.neigh.cali1.proxy_delay=0",
  ]);
  for (const program of ["iptables", "ip6tables"]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- a lab is made step by step
    await node.run(
      `${program}-${backend}`,
      "-t nat -A POSTROUTING -o eth0 -j MASQUERADE".split(" "),
    );
  }
  await service.listen(REAL, 80);
  const running = resources.move();
  return {
    node,
    podA,
    podB,
    routedPod,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Runs lines of ip(8) in a namespace. */
function ip(namespace: NetworkNamespace, ...lines: readonly string[]): Promise<string> {
  return namespace.run("ip", ["-batch", "-"], lines.join("\n"));
}
