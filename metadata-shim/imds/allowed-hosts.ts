/** Where the metadata service is asked for, by IPv4 and IPv6 (EC2 User Guide). */
export const METADATA_HOSTS = ["169.254.169.254", "fd00:ec2::254"] as const;

/**
 * Whether a Host header names one of the hosts, with any port or none. It guards against pages in a
 * browser whose own name was made to point here (DNS rebinding). Who sends none at all, as HTTP/1.0
 * allows, is no browser.
 *
 * @param hosts In lower case, IPv6 addresses without brackets.
 */
export function isAllowedHost(header: string | undefined, hosts: ReadonlySet<string>): boolean {
  return header === undefined || hosts.has(hostOf(header));
}

/** The host of a Host header without its port and brackets, in lower case. */
export function hostOf(header: string): string {
  // As nearly all clients write it.
  if (!header.includes(":") && !header.startsWith("[")) return header.toLowerCase();
  const [, ipv6, other = ""] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(header) ?? [];
  return (ipv6 ?? other).toLowerCase();
}
