import { METADATA_ADDRESSES, type Family, type RuleSettings } from "./rule-settings.ts";

export type TableName = "filter" | "security" | "nat";
/** In the order in which rules go in: what closes is there before what opens a way to the shim. */
export const TABLES: readonly TableName[] = ["filter", "security", "nat"];

/** Name of our chain in every table; 28 characters are the most that iptables takes. */
export const CHAIN = "IRSA-METADATA";

/** What one table is to have: a jump in a chain of the kernel, and a chain of ours. */
export interface WantedTable {
  readonly name: TableName;
  readonly hook: "FORWARD" | "PREROUTING";
  /** The jump without `-A HOOK`, as `iptables-save` spells it. */
  readonly jump: string;
  /** Our chain's rules without `-A CHAIN`, as `iptables-save` spells them. */
  readonly rules: readonly string[];
}

const UNREACHABLE: Readonly<Record<Family, string>> = {
  ipv4: "icmp-port-unreachable",
  ipv6: "icmp6-port-unreachable",
};

/**
 * The rules of one family:
 *
 * - `filter FORWARD` refuses what pods send to the metadata service, by a reset, which also ends
 *   connections from before the rules. What goes to the shim is never forwarded, so this may stay
 *   when everything else is gone.
 * - `security FORWARD` comes after `filter` and drops what somebody else's rule let through there.
 * - `nat PREROUTING` sends new connections to the shim instead.
 */
export function wantedTables(
  { hostIps, port, interfaces }: RuleSettings,
  family: Family,
): readonly WantedTable[] {
  const address = METADATA_ADDRESSES[family];
  const closing: readonly WantedTable[] = [
    {
      name: "filter",
      hook: "FORWARD",
      jump: `-d ${address} -j ${CHAIN}`,
      rules: [
        "-p tcp -j REJECT --reject-with tcp-reset",
        `-j REJECT --reject-with ${UNREACHABLE[family]}`,
      ],
    },
    {
      name: "security",
      hook: "FORWARD",
      jump: `-d ${address} -j ${CHAIN}`,
      rules: ["-j DROP"],
    },
  ];
  const hostIp = hostIps[family];
  if (hostIp === undefined) return closing;
  const target = family === "ipv6" ? `[${hostIp}]:${port}` : `${hostIp}:${port}`;
  const only = interfaces.only.length === 0 ? [""] : interfaces.only.map((name) => `-i ${name} `);
  return [
    ...closing,
    {
      name: "nat",
      hook: "PREROUTING",
      jump: `-d ${address} -p tcp -m tcp --dport 80 -j ${CHAIN}`,
      rules: [
        ...interfaces.never.map((name) => `-i ${name} -j RETURN`),
        ...only.map((match) => `${match}-p tcp -j DNAT --to-destination ${target}`),
      ],
    },
  ];
}
