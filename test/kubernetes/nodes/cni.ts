import { isIpv6 } from "./addresses.ts";

/** How pods are linked to their node: a common bridge, or each by a routed pair of interfaces. */
export type Cni = "bridge" | "ptp";

/**
 * The network configuration list of a node
 * (github.com/containernetworking/cni/blob/spec-v0.4.0/SPEC.md). Pods keep their address wherever they
 * send to, as with a cloud provider's own plugin.
 *
 * @param podSubnets One of each family.
 */
export function cniConfig(cni: Cni, podSubnets: readonly string[]): object {
  const ipam = {
    type: "host-local",
    ranges: podSubnets.map((subnet) => [{ subnet }]),
    routes: podSubnets.map((subnet) => ({ dst: isIpv6(subnet) ? "::/0" : "0.0.0.0/0" })),
  };
  const main =
    cni === "ptp"
      ? { type: "ptp", ipam }
      : { type: "bridge", bridge: "cni0", isGateway: true, hairpinMode: true, ipam };
  return {
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [main, { type: "portmap", capabilities: { portMappings: true } }],
  };
}
