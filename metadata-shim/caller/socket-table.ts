import ipaddr from "ipaddr.js";
import { normaliseAddress } from "./address.ts";

/** Both ends of a TCP connection, seen from the machine whose table it is. */
export interface Flow {
  /** As {@link normaliseAddress} writes it. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Any of them: whoever is behind a DNAT rule sees another address than the one that answers. */
  readonly remotes: readonly { readonly address: string; readonly port: number }[];
}

// include/net/tcp_states.h of Linux. A client that waits for an answer is in one of these; a socket
// in TIME_WAIT has no process any more.
const ESTABLISHED = "01";
const FIN_WAIT1 = "04";
const FIN_WAIT2 = "05";
const OPEN: ReadonlySet<string> = new Set([ESTABLISHED, FIN_WAIT1, FIN_WAIT2]);

/**
 * Whether a table of TCP sockets as `/proc/net/tcp` and `/proc/net/tcp6` show it (Linux,
 * Documentation/networking/proc_net_tcp.rst) has an open socket with both ends of a flow. Addresses
 * that are mapped from IPv4 into IPv6 are the same as those of IPv4.
 */
export function hasSocket(table: string, flow: Flow): boolean {
  const localPort = hexPort(flow.localPort);
  const remotePorts = new Set(flow.remotes.map(({ port }) => hexPort(port)));
  for (const line of table.split("\n")) {
    const [, local = "", remote = "", state = ""] = line.trim().split(/ +/, 4);
    // Cheap comparisons first: a pod may have some ten thousand sockets.
    if (!OPEN.has(state) || !local.endsWith(localPort)) continue;
    if (!remotePorts.has(remote.slice(-localPort.length))) continue;
    if (addressOf(local) !== flow.localAddress) continue;
    const address = addressOf(remote);
    const isRemote = flow.remotes.some(
      (end) => end.address === address && remote.endsWith(hexPort(end.port)),
    );
    if (isRemote) return true;
  }
  return false;
}

function hexPort(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The kernel prints an address as words of 32 bits in its own byte order, little-endian where we run. */
function addressOf(end: string): string | undefined {
  const [words = ""] = end.split(":", 1);
  if (!/^(?:[0-9A-F]{8}|[0-9A-F]{32})$/.test(words)) return undefined;
  const bytes = Buffer.from(words, "hex");
  for (let word = 0; word < bytes.length; word += 4) bytes.subarray(word, word + 4).reverse();
  return normaliseAddress(ipaddr.fromByteArray([...bytes]).toString());
}
