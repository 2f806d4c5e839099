import { METADATA_ADDRESSES, type Family } from "./rule-settings.ts";
import type { SavedRules } from "./saved-rules.ts";
import { CHAIN } from "./wanted-rules.ts";

/** A rule of somebody else, such as kube2iam or kiam, that sends metadata requests somewhere. */
export interface ForeignRedirect {
  /** As `iptables-save` spells it, without `-A PREROUTING`. */
  readonly rule: string;
  /** Its place in PREROUTING, from 0. */
  readonly index: number;
  /** `ADDRESS:PORT`; of a REDIRECT, which goes to the node itself, `:PORT`. */
  readonly target: string;
}

/** The rules in `nat PREROUTING` that are not ours and send connections to the metadata service elsewhere. */
export function foreignRedirects(saved: SavedRules, family: Family): readonly ForeignRedirect[] {
  const rules = saved.get("nat")?.get("PREROUTING") ?? [];
  // Also an address without its prefix, as some versions list it.
  const [address = ""] = METADATA_ADDRESSES[family].split("/");
  return rules.flatMap((rule, index) => {
    const words = rule.split(" ");
    const destination = words[words.indexOf("-d") + 1]?.split("/")[0];
    if (!words.includes("-d") || destination !== address || words.includes(CHAIN)) return [];
    const [, target] = / --to-destination (\S+)/.exec(rule) ?? [];
    const [, ports] = / -j REDIRECT --to-ports (\S+)/.exec(rule) ?? [];
    if (target === undefined && ports === undefined) return [];
    return [{ rule, index, target: target ?? `:${ports}` }];
  });
}

/** Whether such a rule leads to the shim at this address and port, and so does what ours does. */
export function leadsToShim(
  { target }: ForeignRedirect,
  { hostIp, port }: { readonly hostIp: string | undefined; readonly port: number },
): boolean {
  if (target === `:${port}`) return true;
  return hostIp !== undefined && [`${hostIp}:${port}`, `[${hostIp}]:${port}`].includes(target);
}
