import { AppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { flushConnections } from "./flush-connections.ts";
import type { Iptables } from "./iptables.ts";
import { planRules } from "./plan-rules.ts";
import type { RuleSettings } from "./rule-settings.ts";
import type { RunProgram } from "./run-program.ts";
import type { TableName } from "./wanted-rules.ts";

export interface ApplyDeps {
  readonly run: RunProgram;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** One family in its back end, with what was found out about it. */
export interface RuleTarget {
  readonly iptables: Iptables;
  readonly hasSecurity: boolean;
}

/**
 * Makes the rules of one family what they should be.
 *
 * @returns the tables that had to be changed.
 * @throws AppError RULES_FAILED; also when the rules are not there afterwards.
 */
export async function applyRules(
  { iptables, hasSecurity }: RuleTarget,
  settings: RuleSettings,
  { run, log }: ApplyDeps,
): Promise<readonly TableName[]> {
  const { family, backend } = iptables;
  const options = { family, hasSecurity };
  const plan = planRules(await iptables.read(), settings, options);
  if (plan.text === "") return [];
  for (const { rule, target } of plan.adopted) {
    log.info({ family, backend, rule, target }, "Adopted a rule that leads to the shim");
  }
  for (const { rule, target } of plan.astray) {
    log.warn({ family, backend, rule, target }, "Overruled a rule that leads elsewhere");
  }
  await iptables.restore(plan.text);
  const left = planRules(await iptables.read(), settings, options);
  if (left.text !== "") {
    const message = `Cannot keep the rules in ${left.amiss.join(", ")} of ${family}: they are not there after iptables took them`;
    throw new AppError("RULES_FAILED", 500, message);
  }
  const failure = await flushConnections(family, run);
  if (failure !== undefined) {
    log.warn({ family, reason: failure }, "Cannot flush connections from before the rules");
  }
  return plan.amiss;
}
