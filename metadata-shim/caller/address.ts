import ipaddr from "ipaddr.js";

/**
 * One spelling for each IP address, to compare addresses by: IPv4 also where it came mapped into IPv6
 * (`::ffff:10.1.0.2`), IPv6 as RFC 5952 shortens it, without a zone. Undefined when the text is no
 * address, also for the forms of IPv4 that only C libraries know (`0x0a010002`, `10.258`).
 */
export function normaliseAddress(text: string): string | undefined {
  const [address = ""] = text.split("%", 1);
  if (ipaddr.IPv4.isValidFourPartDecimal(address)) return ipaddr.IPv4.parse(address).toString();
  if (!ipaddr.IPv6.isValid(address)) return undefined;
  return ipaddr.process(address).toString();
}

/** Whether an address is this machine's own: no pod is reached by one. */
export function isLoopback(address: string): boolean {
  return ipaddr.isValid(address) && ipaddr.process(address).range() === "loopback";
}
