import { BlockList, isIP } from "node:net";
import type { Family, RuleSettings } from "./rule-settings.ts";

/** Addresses that no packet of a pod can be sent on to. */
const USELESS = new BlockList();
for (const [address, bits, family] of [
  ["0.0.0.0", 8, "ipv4"],
  // Packets from another interface to these are dropped, unless a sysctl opens them to all pods
  // (route_localnet, CVE-2020-8558).
  ["127.0.0.0", 8, "ipv4"],
  ["169.254.169.254", 32, "ipv4"],
  ["224.0.0.0", 4, "ipv4"],
  ["::", 127, "ipv6"],
  // Means nothing without an interface.
  ["fe80::", 10, "ipv6"],
  ["fd00:ec2::254", 128, "ipv6"],
  ["ff00::", 8, "ipv6"],
] as const) {
  USELESS.addSubnet(address, bits, family);
}

/**
 * Reads the addresses of a node, one of each family at most, as the downward API writes
 * `status.hostIPs`: `10.0.0.5,fd00::5`.
 *
 * @returns a sentence instead when they cannot be used.
 */
export function parseHostAddresses(text: string): RuleSettings["hostIps"] | string {
  const hostIps: Partial<Record<Family, string>> = {};
  for (const address of text.split(",").map((part) => part.trim())) {
    const version = isIP(address);
    const quoted = JSON.stringify(address);
    if (version === 0) return `${quoted} is no IP address`;
    const family = version === 4 ? "ipv4" : "ipv6";
    if (USELESS.check(address, family)) {
      return `${quoted} cannot be reached from a pod: expected an address of this node in its network`;
    }
    if (hostIps[family] !== undefined) return `${quoted} is a second address of its family`;
    hostIps[family] = version === 4 ? address : canonicalIpv6(address);
  }
  return hostIps;
}

/** As iptables lists it. */
function canonicalIpv6(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}
