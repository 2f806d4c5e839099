import { FAMILIES, type Family, type RuleSettings } from "./rule-settings.ts";
import { fullText } from "./rules-text.ts";
import { wantedTables } from "./wanted-rules.ts";

const PROGRAM: Readonly<Record<Family, string>> = {
  ipv4: "iptables-restore",
  ipv6: "ip6tables-restore",
};

/** The rules of both families as text, to read or to feed to the two programs by hand. */
export function showRules(settings: RuleSettings): string {
  return FAMILIES.map(
    (family) => `# ${PROGRAM[family]} --noflush\n${fullText(wantedTables(settings, family))}`,
  ).join("\n");
}
