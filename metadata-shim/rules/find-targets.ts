import type { RuleTarget } from "./apply-rules.ts";
import { chooseBackend } from "./choose-backend.ts";
import { createIptables, type Backend } from "./iptables.ts";
import { presentFamilies } from "./present-families.ts";
import type { RunProgram } from "./run-program.ts";

/** The families of this node in their back end. @throws AppError RULES_FAILED */
export async function findTargets(
  wanted: Backend | "auto",
  run: RunProgram,
): Promise<readonly RuleTarget[]> {
  const backend = await chooseBackend(wanted, run);
  return Promise.all(
    presentFamilies().map(async (family) => {
      const iptables = createIptables(family, backend, run);
      return { iptables, hasSecurity: await iptables.hasTable("security") };
    }),
  );
}
