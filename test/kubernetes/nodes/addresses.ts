/** Addresses of a cluster. They are the same in every cluster: its networks are its own. */

/** Where the nodes and the cloud meet. */
export const NODE_NETWORK_BITS = 24;
export const CLOUD_ADDRESS = "10.10.0.1";
export const POD_CIDR = "10.244.0.0/16";
/** Of the metadata service, as on EC2. */
export const METADATA_ADDRESS = "169.254.169.254";

/** The API servers', on the first node beside its own. */
export function apiServerAddress(index: number): string {
  return `10.10.0.${2 + index}`;
}

export function nodeAddress(index: number): string {
  return `10.10.0.${10 + index}`;
}

/** The part of {@link POD_CIDR} whose pods run on the node. */
export function podSubnet(nodeIndex: number): string {
  return `10.244.${nodeIndex}.0/24`;
}

/** For servers of the world outside: from the range for documentation, which nobody else has. */
export function outsideAddress(index: number): string {
  return `203.0.113.${1 + index}`;
}
