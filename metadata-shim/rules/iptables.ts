import { AppError } from "../../lib/errors.ts";
import type { Family } from "./rule-settings.ts";
import type { ProgramResult, RunProgram } from "./run-program.ts";
import { parseSavedRules, type SavedRules } from "./saved-rules.ts";
import type { TableName } from "./wanted-rules.ts";

/** The two ways in which iptables keeps rules; what one has, the other does not see. */
export type Backend = "nft" | "legacy";
export const BACKENDS: readonly Backend[] = ["nft", "legacy"];

/** The rules of one family in one back end of this network namespace. */
export interface Iptables {
  readonly family: Family;
  readonly backend: Backend;
  /** Whether its programs are installed. */
  isInstalled(): Promise<boolean>;
  /** All rules that there are. @throws AppError RULES_FAILED */
  read(): Promise<SavedRules>;
  /** Changes tables, each as one. @throws AppError RULES_FAILED */
  restore(text: string): Promise<void>;
  hasTable(table: TableName): Promise<boolean>;
}

/** How long to wait for whoever else is changing rules (`/run/xtables.lock`), in seconds. */
const LOCK_WAIT_SECONDS = "10";

/** iptables(8) of this machine. */
export function createIptables(family: Family, backend: Backend, run: RunProgram): Iptables {
  const name = `${family === "ipv4" ? "iptables" : "ip6tables"}-${backend}`;
  return {
    family,
    backend,
    async isInstalled() {
      const { status } = await run(name, ["--version"]);
      return status === 0;
    },
    async read() {
      // Of all tables: naming one would make a kernel module of it be loaded.
      return parseSavedRules(outputOf(`${name}-save`, await run(`${name}-save`, [])));
    },
    async restore(text) {
      const args = ["--noflush", "--wait", LOCK_WAIT_SECONDS];
      outputOf(`${name}-restore`, await run(`${name}-restore`, args, { stdin: text }));
    },
    async hasTable(table) {
      const args = ["--wait", LOCK_WAIT_SECONDS, "--table", table, "--list-rules"];
      const { status } = await run(name, args);
      return status === 0;
    },
  };
}

function outputOf(program: string, { status, stdout, stderr }: ProgramResult): string {
  if (status === 0) return stdout;
  const reason = stderr.trim().split("\n").slice(0, 5).join("; ");
  const message = `Cannot run ${program}: ${reason || `it ended with status ${status}`}`;
  throw new AppError("RULES_FAILED", 500, message);
}
