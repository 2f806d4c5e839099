/** Both families have a metadata address, and a program of their own for rules. */
export type Family = "ipv4" | "ipv6";
export const FAMILIES: readonly Family[] = ["ipv4", "ipv6"];

/** Interfaces that pods come in by, as iptables matches them; a trailing `+` stands for any ending. */
export interface InterfaceSelection {
  /** Any interface when empty. */
  readonly only: readonly string[];
  /** Never these, whatever `only` says. */
  readonly never: readonly string[];
}

/** What the rules are made from. */
export interface RuleSettings {
  /** Addresses of this node that the shim listens on, canonical; a family without one is only closed. */
  readonly hostIps: Readonly<Partial<Record<Family, string>>>;
  readonly port: number;
  readonly interfaces: InterfaceSelection;
}

/** Where Amazon EC2 has its metadata service, with the length of the prefix as rules are listed. */
export const METADATA_ADDRESSES: Readonly<Record<Family, string>> = {
  ipv4: "169.254.169.254/32",
  ipv6: "fd00:ec2::254/128",
};

// Linux: IFNAMSIZ less its zero byte. No white space and no slash (dev_valid_name); what iptables
// gives a meaning of its own is left out, so that a name never becomes another word of a rule.
const INTERFACE = /^[\w.:@-]{1,15}$/;
const WILDCARD = /^[\w.:@-]{1,14}\+$/;

/**
 * Reads a list such as `eni+,cali+,!eth0`: in by one of the first two, and never by eth0. Without an
 * interface that is wanted, any is, so `!eth0` alone is all but that one (as kiam has it). Empty is
 * any.
 *
 * @returns a sentence instead when a name is none.
 */
export function parseInterfaces(text: string): InterfaceSelection | string {
  const names = text
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const [only, never]: [string[], string[]] = [[], []];
  for (const name of names) {
    const plain = name.replace(/^!\s*/, "");
    if (!INTERFACE.test(plain) && !WILDCARD.test(plain)) {
      return `${JSON.stringify(name)} is no interface: expected eth0, eni+ or !eth0`;
    }
    const list = name.startsWith("!") ? never : only;
    if (!list.includes(plain)) list.push(plain);
  }
  return { only, never };
}
