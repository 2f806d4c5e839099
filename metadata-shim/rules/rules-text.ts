import { CHAIN, type WantedTable } from "./wanted-rules.ts";

/** Commands for one table. */
export interface TableCommands {
  readonly name: string;
  /** As in a file for `iptables-restore`: `:CHAIN`, `-A`, `-I`, `-D`, `-X`. */
  readonly lines: readonly string[];
}

/**
 * Text for `iptables-restore --noflush`: each table changes as one, and what is not named stays.
 * Empty when there is nothing to do.
 */
export function restoreText(tables: readonly TableCommands[]): string {
  return tables
    .filter(({ lines }) => lines.length > 0)
    .map(({ name, lines }) => [`*${name}`, ...lines, "COMMIT", ""].join("\n"))
    .join("");
}

/** Makes our chain, or empties it and fills it again: a chain that is declared loses its rules. */
export function chainLines({ rules }: WantedTable): readonly string[] {
  return [`:${CHAIN} - [0:0]`, ...rules.map((rule) => `-A ${CHAIN} ${rule}`)];
}

export function jumpLine({ hook, jump }: WantedTable): string {
  return `-I ${hook} 1 ${jump}`;
}

/** All rules of a family, for a node that has none of them yet. */
export function fullText(tables: readonly WantedTable[]): string {
  return restoreText(
    tables.map((table) => ({ name: table.name, lines: [...chainLines(table), jumpLine(table)] })),
  );
}
