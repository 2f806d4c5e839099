/**
 * The address of a client as Kubernetes writes it: a server that listens on `::` is told IPv4
 * addresses in IPv6 ones, as `::ffff:10.1.0.2`.
 */
export function remoteAddressOf(socketAddress: string | undefined): string {
  const address = socketAddress ?? "";
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
