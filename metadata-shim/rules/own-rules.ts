import type { Clock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { findTargets } from "./find-targets.ts";
import { keepRules } from "./keep-rules.ts";
import type { RuleSettings } from "./rule-settings.ts";
import { runProgram } from "./run-program.ts";

/** Rules of the network that this process keeps itself. */
export interface OwnRules extends AsyncDisposable {
  /** Whether all were there at the last look. */
  readonly inPlace: boolean;
}

const INTERVAL_MS = 5000;

/**
 * Makes and keeps the rules in the process that serves, as kube2iam and kiam do with `--iptables`, for
 * manifests that have no other container for it. They stay when it ends.
 *
 * @throws AppError RULES_FAILED when this machine has no iptables, or may not be asked.
 */
export async function startOwnRules(
  settings: RuleSettings,
  { clock, log }: { readonly clock: Clock; readonly log: Logger },
): Promise<OwnRules> {
  const targets = await findTargets("auto", runProgram);
  const stop = new AbortController();
  let inPlace = false;
  const first = Promise.withResolvers<void>();
  const keeping = keepRules(targets, settings, {
    run: runProgram,
    log,
    clock,
    intervalMs: INTERVAL_MS,
    signal: stop.signal,
    onLook: (areInPlace) => {
      inPlace = areInPlace;
      first.resolve();
    },
  });
  // Before anybody is served: what closes must be there first.
  await Promise.race([first.promise, keeping]);
  return {
    get inPlace() {
      return inPlace;
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await keeping;
    },
  };
}
