/** Addresses of a cluster. They are the same in every cluster: its networks are its own. */

/** Of the metadata service, as on EC2. */
export const METADATA_ADDRESS = "169.254.169.254";
export const METADATA_ADDRESS_6 = "fd00:ec2::254";

/** How the networks of a cluster are laid out. */
export interface NetworkLayout {
  /** Whether nodes and pods have addresses of IPv6 beside those of IPv4. */
  readonly ipv6: boolean;
  /** Of the IPv4 subnet for the pods of a node: with 28, there are addresses for 13 pods. */
  readonly podSubnetBits: number;
}

/** Of one family or of both, IPv4 first. */
export interface NodeNetwork {
  readonly addresses: readonly [string, ...string[]];
  /** What its pods have addresses of. */
  readonly podSubnets: readonly [string, ...string[]];
}

/** Where nodes and cloud meet; these are the cloud's. With the bits of their network. */
export function cloudAddresses({ ipv6 }: NetworkLayout): readonly string[] {
  return ipv6 ? ["10.10.0.1/24", "fd10:10::1/64"] : ["10.10.0.1/24"];
}

/** The API servers', on the first node beside its own. */
export function apiServerAddress(index: number): string {
  return `10.10.0.${2 + index}`;
}

export function nodeNetwork(index: number, { ipv6, podSubnetBits }: NetworkLayout): NodeNetwork {
  const address = `10.10.0.${10 + index}`;
  const podSubnet = `10.244.${index}.0/${podSubnetBits}`;
  if (!ipv6) return { addresses: [address], podSubnets: [podSubnet] };
  return {
    addresses: [address, `fd10:10::${10 + index}`],
    podSubnets: [podSubnet, `fd10:244:0:${index}::/64`],
  };
}

/** What the pods' subnets of all nodes are in. */
export function podCidrs({ ipv6 }: NetworkLayout): readonly string[] {
  return ipv6 ? ["10.244.0.0/16", "fd10:244::/48"] : ["10.244.0.0/16"];
}

export function isIpv6(address: string): boolean {
  return address.includes(":");
}

/** For servers of the world outside: from the range for documentation, which nobody else has. */
export function outsideAddress(index: number): string {
  return `203.0.113.${1 + index}`;
}
