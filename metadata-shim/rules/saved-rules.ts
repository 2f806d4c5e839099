/** The rules of the chains of one table, without `-A CHAIN`, in their order. */
export type SavedTable = ReadonlyMap<string, readonly string[]>;
/** What a family has, by the name of the table. */
export type SavedRules = ReadonlyMap<string, SavedTable>;

/** Reads what `iptables-save` prints. Lines that it does not know are left out. */
export function parseSavedRules(text: string): SavedRules {
  const tables = new Map<string, Map<string, string[]>>();
  let table = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [, tableName] = /^\*(\S+)/.exec(line) ?? [];
    const [, chain] = /^:(\S+) /.exec(line) ?? [];
    const [, ruleChain, rule] = /^-A (\S+) (.*)$/.exec(line) ?? [];
    if (tableName !== undefined) {
      table = new Map();
      tables.set(tableName, table);
    } else if (chain !== undefined) {
      table.set(chain, []);
    } else if (ruleChain !== undefined && rule !== undefined) {
      const rules = table.get(ruleChain) ?? [];
      rules.push(rule);
      table.set(ruleChain, rules);
    }
  }
  return tables;
}
