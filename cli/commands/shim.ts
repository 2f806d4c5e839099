import type { Command } from "commander";
import type { Program } from "../../lib/program.ts";
import { addShimRules } from "./shim-rules.ts";

/** `irsa shim`: the node agent. */
export function addShim(irsa: Command, program: Program): void {
  const command = irsa
    .command("shim")
    .description("Gives pods that know only the metadata endpoint their own AWS role");
  addShimRules(command, program);
}
