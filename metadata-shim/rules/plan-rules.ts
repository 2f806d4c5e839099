import { foreignRedirects, leadsToShim, type ForeignRedirect } from "./foreign-redirects.ts";
import type { Family, RuleSettings } from "./rule-settings.ts";
import { chainLines, jumpLine, restoreText, type TableCommands } from "./rules-text.ts";
import type { SavedRules } from "./saved-rules.ts";
import { CHAIN, TABLES, wantedTables, type TableName, type WantedTable } from "./wanted-rules.ts";

/** What has to be done to one family. */
export interface RulePlan {
  /** For `iptables-restore --noflush`; empty when all is as it should be. */
  readonly text: string;
  /** The tables in which something is amiss. */
  readonly amiss: readonly TableName[];
  /** Rules of others that lead to the shim too: they may stay. */
  readonly adopted: readonly ForeignRedirect[];
  /** Rules of others that lead elsewhere: ours goes before them. */
  readonly astray: readonly ForeignRedirect[];
}

export interface PlanOptions {
  readonly family: Family;
  /** Whether this kernel has the table `security`. Without it ours must be first in `filter FORWARD`. */
  readonly hasSecurity: boolean;
}

/** Compares what a family has with what it should have. Doing what it says twice changes nothing. */
export function planRules(
  saved: SavedRules,
  settings: RuleSettings,
  { family, hasSecurity }: PlanOptions,
): RulePlan {
  const redirects = foreignRedirects(saved, family);
  const shim = { hostIp: settings.hostIps[family], port: settings.port };
  const wanted = wantedTables(settings, family);
  const lastPlace: Readonly<Record<TableName, number>> = {
    filter: hasSecurity ? Infinity : 0,
    security: Infinity,
    nat: Math.min(Infinity, ...redirects.map(({ index }) => index - 1)),
  };
  const commands = TABLES.filter((name) => hasSecurity || name !== "security").map((name) => {
    const table = wanted.find((candidate) => candidate.name === name);
    const lines =
      table === undefined ? removalLines(saved, name) : tableLines(saved, table, lastPlace[name]);
    return { name, lines };
  });
  return {
    text: restoreText(commands),
    amiss: commands.filter(({ lines }) => lines.length > 0).map(({ name }) => name),
    adopted: redirects.filter((redirect) => leadsToShim(redirect, shim)),
    astray: redirects.filter((redirect) => !leadsToShim(redirect, shim)),
  };
}

/**
 * What takes all of ours away, and with it the rules of others that lead to the shim, after which
 * nobody listens there.
 */
export function planRemoval(
  saved: SavedRules,
  { family, shim }: { readonly family: Family; readonly shim: Parameters<typeof leadsToShim>[1] },
): string {
  const adopted = foreignRedirects(saved, family).filter((it) => leadsToShim(it, shim));
  const commands: readonly TableCommands[] = TABLES.toReversed().map((name) => ({
    name,
    lines: [
      ...(name === "nat" ? adopted.map(({ rule }) => `-D PREROUTING ${rule}`) : []),
      ...removalLines(saved, name),
    ],
  }));
  return restoreText(commands);
}

function tableLines(saved: SavedRules, table: WantedTable, lastPlace: number): readonly string[] {
  const chain = saved.get(table.name)?.get(CHAIN);
  const isChainRight =
    chain?.length === table.rules.length && chain.every((rule, i) => rule === table.rules[i]);
  const jumps = jumpsIn(saved, table.name);
  const [jump] = jumps;
  const isJumpRight =
    jumps.length === 1 &&
    jump?.hook === table.hook &&
    jump.rule === table.jump &&
    jump.index <= lastPlace;
  return [
    ...(isChainRight ? [] : chainLines(table)),
    ...(isJumpRight ? [] : [...jumps.map(deletionLine), jumpLine(table)]),
  ];
}

function removalLines(saved: SavedRules, name: TableName): readonly string[] {
  const jumps = jumpsIn(saved, name).map(deletionLine);
  const hasChain = saved.get(name)?.has(CHAIN) === true;
  return [...jumps, ...(hasChain ? [`-F ${CHAIN}`, `-X ${CHAIN}`] : [])];
}

interface Jump {
  readonly hook: string;
  readonly rule: string;
  readonly index: number;
}

function jumpsIn(saved: SavedRules, name: TableName): readonly Jump[] {
  return [...(saved.get(name) ?? [])].flatMap(([hook, rules]) =>
    rules.flatMap((rule, index) => {
      const isOurs = rule.split(" ").slice(-2).join(" ") === `-j ${CHAIN}`;
      return isOurs ? [{ hook, rule, index }] : [];
    }),
  );
}

function deletionLine({ hook, rule }: Jump): string {
  return `-D ${hook} ${rule}`;
}
