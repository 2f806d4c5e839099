import { rm, writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { systemClock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import { createLogger, type Logger } from "../../lib/log.ts";
import type { Program } from "../../lib/program.ts";
import {
  AGENT_LINK,
  ensureAgentLink,
  removeAgentLink,
} from "../../metadata-shim/container-credentials/agent-link.ts";
import { findTargets } from "../../metadata-shim/rules/find-targets.ts";
import { keepRules } from "../../metadata-shim/rules/keep-rules.ts";
import { presentFamilies } from "../../metadata-shim/rules/present-families.ts";
import { removeRules } from "../../metadata-shim/rules/remove-rules.ts";
import {
  applyConfig,
  hostIpsOf,
  removeConfig,
  rulePortOf,
  ruleSettingsOf,
  showConfig,
} from "../../metadata-shim/rules/rules-config.ts";
import { runProgram } from "../../metadata-shim/rules/run-program.ts";
import { showRules } from "../../metadata-shim/rules/show-rules.ts";

const APPLY_HELP = `
Needs CAP_NET_ADMIN in the node's network namespace. The rules stay when it ends.

Example:
  irsa shim rules apply --host-ip 10.0.0.5 --host-interface 'cali+' --watch`;

/** `irsa shim rules show | apply | remove`: the iptables rules that keep pods from the node's role. */
export function addShimRules(shim: Command, program: Program): void {
  const rules = shim
    .command("rules")
    .description("The iptables rules that lead pods to the shim and to nowhere else");
  addShow(rules, program);
  addApply(rules, program);
  addRemove(rules, program);
}

function addShow(rules: Command, { env, stdout }: Program): void {
  const command = rules
    .command("show")
    .description("Prints the rules, as iptables-restore and ip6tables-restore take them");
  showConfig.addTo(command).action(() => {
    stdout.write(showRules(ruleSettingsOf(showConfig.read(command, env))));
  });
}

function addApply(rules: Command, { env, stdout, signal }: Program): void {
  const command = rules
    .command("apply")
    .description("Puts the rules in, once or for good")
    .addHelpText("after", APPLY_HELP);
  applyConfig.addTo(command).action(async () => {
    const config = applyConfig.read(command, env);
    const { readyFile } = config;
    const log = createLogger({ level: config.logLevel, service: "shim-rules" }, stdout);
    const targets = await findTargets(config.iptablesBackend, runProgram);
    const once = new AbortController();
    let areInPlace: boolean | undefined;
    await keepRules(targets, ruleSettingsOf(config), {
      run: runProgram,
      log,
      clock: systemClock,
      intervalMs: config.watchIntervalMs,
      signal: config.watch ? signal : once.signal,
      onLook: async (areRulesInPlace) => {
        const inPlace =
          areRulesInPlace && (!config.containerCredentials || (await keepAgentLink(log)));
        if (readyFile !== "" && inPlace !== areInPlace) await showReady(readyFile, inPlace);
        areInPlace = inPlace;
        if (!config.watch) once.abort();
      },
    });
    if (config.watch) log.info({ signal: String(signal.reason) }, "Leaving the rules in place");
    else if (areInPlace !== true) {
      throw new AppError("RULES_FAILED", 500, "Cannot put in all rules: the log says why");
    }
  });
}

/** Whether the link is there. */
async function keepAgentLink(log: Pick<Logger, "info" | "error">): Promise<boolean> {
  try {
    const isNew = await ensureAgentLink(presentFamilies(), runProgram);
    if (isNew) log.info({ link: AGENT_LINK }, "Made the link of container credentials");
    return true;
  } catch (err) {
    log.error({ err }, "Cannot make the link of container credentials");
    return false;
  }
}

async function showReady(readyFile: string, isReady: boolean): Promise<void> {
  await (isReady ? writeFile(readyFile, "ready\n") : rm(readyFile, { force: true }));
}

function addRemove(rules: Command, { env, stdout }: Program): void {
  const command = rules
    .command("remove")
    .description("Takes the rules away, after which pods reach the node's metadata service");
  removeConfig.addTo(command).action(async () => {
    const config = removeConfig.read(command, env);
    const shim = { hostIps: hostIpsOf(config), port: rulePortOf(config) };
    const removals = await removeRules(shim, runProgram);
    const places = removals.map(({ family, backend }) => `${family} (${backend})`).join(", ");
    stdout.write(places === "" ? "There were no rules\n" : `Removed the rules of ${places}\n`);
    if (await removeAgentLink(runProgram)) stdout.write(`Removed the link ${AGENT_LINK}\n`);
  });
}
