import { BACKENDS, createIptables, type Backend } from "./iptables.ts";
import { planRemoval } from "./plan-rules.ts";
import { presentFamilies } from "./present-families.ts";
import type { Family } from "./rule-settings.ts";
import type { RunProgram } from "./run-program.ts";

export interface Removal {
  readonly family: Family;
  readonly backend: Backend;
}

/**
 * Takes the rules away from both families, in whichever back end they are, and with them the rules
 * of others that lead to the shim, where its address is known.
 *
 * @returns where there were any.
 * @throws AppError RULES_FAILED
 */
export async function removeRules(
  {
    hostIps,
    port,
  }: { readonly hostIps: Readonly<Partial<Record<Family, string>>>; readonly port: number },
  run: RunProgram,
): Promise<readonly Removal[]> {
  const removals: Removal[] = [];
  for (const backend of BACKENDS) {
    for (const family of presentFamilies()) {
      const iptables = createIptables(family, backend, run);
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a lock
      if (!(await iptables.isInstalled())) continue;
      const shim = { hostIp: hostIps[family], port };
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a lock
      const text = planRemoval(await iptables.read(), { family, shim });
      if (text === "") continue;
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a lock
      await iptables.restore(text);
      removals.push({ family, backend });
    }
  }
  return removals;
}
