import type { Clock } from "../../lib/clock.ts";
import { applyRules, type ApplyDeps, type RuleTarget } from "./apply-rules.ts";
import type { RuleSettings } from "./rule-settings.ts";

export interface KeepDeps extends ApplyDeps {
  readonly clock: Pick<Clock, "sleep">;
  /** Between two looks, in milliseconds. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
  readonly log: ApplyDeps["log"] & { error(fields: object, message: string): void };
  /** Told after each look whether all rules are in place. */
  readonly onLook: (areInPlace: boolean) => Promise<void> | void;
}

/**
 * Looks at the rules again and again, and puts back what is lost. It ends with `signal`, and the
 * rules stay: a node whose pods can reach the metadata service because something was restarted is
 * what they are for.
 */
export async function keepRules(
  targets: readonly RuleTarget[],
  settings: RuleSettings,
  deps: KeepDeps,
): Promise<void> {
  const { clock, intervalMs, signal, onLook } = deps;
  let isFirst = true;
  while (!signal.aborted) {
    const looks: boolean[] = [];
    for (const target of targets) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- they share a lock
      looks.push(await look(target, settings, { ...deps, isFirst }));
    }
    isFirst = false;
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    await onLook(looks.every(Boolean));
    // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
    await clock.sleep(intervalMs, signal);
  }
}

async function look(
  target: RuleTarget,
  settings: RuleSettings,
  { isFirst, ...deps }: KeepDeps & { readonly isFirst: boolean },
): Promise<boolean> {
  const { family, backend } = target.iptables;
  try {
    const tables = await applyRules(target, settings, deps);
    if (tables.length > 0 && isFirst) deps.log.info({ family, backend, tables }, "Put in rules");
    if (tables.length > 0 && !isFirst) {
      deps.log.warn({ family, backend, tables }, "Put back rules that were lost");
    }
    return true;
  } catch (err) {
    deps.log.error({ family, backend, err }, "Cannot put in rules");
    return false;
  }
}
