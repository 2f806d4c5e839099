import ipaddr from "ipaddr.js";

/** Both ends of a TCP connection, seen from the machine whose table it is. */
export interface Flow {
  /** As `normaliseAddress` writes it, like those of the remote ends. */
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
const OPEN = [ESTABLISHED, FIN_WAIT1, FIN_WAIT2] as const;

/** Before an IPv4 address that is mapped into IPv6 (RFC 4291, section 2.5.5.2), as the kernel prints it. */
const MAPPED = "0000000000000000FFFF0000";

/**
 * Whether a table of TCP sockets as `/proc/net/tcp` and `/proc/net/tcp6` show it (Linux,
 * Documentation/networking/proc_net_tcp.rst) has an open socket with both ends of a flow. Addresses
 * that are mapped from IPv4 into IPv6 are the same as those of IPv4.
 *
 * It looks for the beginning of the line as the kernel writes it: a pod may have some ten thousand
 * sockets, whose lines would take ten times as long to read one by one.
 */
export function hasSocket(table: Buffer, { localAddress, localPort, remotes }: Flow): boolean {
  const isIpv4 = localAddress.includes(".");
  const local = endOf(localAddress, localPort);
  const others = remotes
    .filter(({ address }) => address.includes(".") === isIpv4)
    .map(({ address, port }) => endOf(address, port));
  const prefixes = isIpv4 ? ["", MAPPED] : [""];
  return prefixes.some((prefix) =>
    isFollowed(table, `: ${prefix}${local} `, (rest) =>
      others.some((other) => OPEN.some((state) => rest.startsWith(`${prefix}${other} ${state} `))),
    ),
  );
}

const LONGEST_REST = `${"0".repeat(32)}:0000 00 `.length;

/** Whether `start` is somewhere in a text right before what `isRest` takes. */
function isFollowed(text: Buffer, start: string, isRest: (rest: string) => boolean): boolean {
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + 1)) {
    const end = at + start.length;
    if (isRest(text.toString("latin1", end, end + LONGEST_REST))) return true;
  }
  return false;
}

/** The kernel prints an address as words of 32 bits in its own byte order, little-endian where we run. */
function endOf(address: string, port: number): string {
  const bytes = Buffer.from(ipaddr.parse(address).toByteArray());
  return `${bytes.swap32().toString("hex")}:${port.toString(16).padStart(4, "0")}`.toUpperCase();
}
