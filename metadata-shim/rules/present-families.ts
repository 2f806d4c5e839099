import { existsSync } from "node:fs";
import { FAMILIES, type Family } from "./rule-settings.ts";

/** Is there in every kernel that speaks IPv6 (proc(5)), whether it has addresses or not. */
const IPV6_ADDRESSES = "/proc/net/if_inet6";

/** The families that this kernel speaks: one that it does not needs no rules, and takes none. */
export function presentFamilies(): readonly Family[] {
  const hasIpv6 = existsSync(IPV6_ADDRESSES);
  return FAMILIES.filter((family) => family === "ipv4" || hasIpv6);
}
