import { Argument, InvalidArgumentError, type Command } from "commander";
import { AppError } from "../../lib/errors.ts";
import { createLogger } from "../../lib/log.ts";
import type { Program } from "../../lib/program.ts";
import { shimConfig } from "../../metadata-shim/config.ts";
import { legacyPlaceOf } from "../../metadata-shim/legacy/legacy-config.ts";
import packageJson from "../../package.json" with { type: "json" };
import { addShimRules } from "./shim-rules.ts";

/** `irsa shim`: the node agent, which serves until it is told to stop. */
export function addShim(irsa: Command, program: Program): void {
  const { env, stdout, signal } = program;
  // Else flags of `shim rules` would be taken for those of the agent with the same names.
  irsa.enablePositionalOptions();
  const command = irsa
    .command("shim")
    .description("Gives pods that know only the metadata endpoint their own AWS role")
    // kube2iam has it, and asks for no subcommand before.
    .version(packageJson.version)
    .addArgument(agent());
  shimConfig.addTo(command).action(async () => {
    const config = shimConfig.read(command, env);
    const { logLevel: level } = legacyPlaceOf(config, config.profile, env);
    const log = createLogger({ level, service: "shim" }, stdout);
    // Only now, so that other commands do not wait for the Kubernetes client to load.
    const { startShim } = await import("../../metadata-shim/main.ts");
    await using shim = await startShim(config, { env, log });
    const stopped = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => stopped.resolve(), { once: true });
    if (!signal.aborted) await stopped.promise;
    log.info({ signal: String(signal.reason), port: shim.port }, "Stopping");
  });
  addShimRules(command, program);
}

const NO_SERVER =
  "There is no server behind the agent any more: take it away, and give its flags to irsa shim (docs/migrate-kube2iam-kiam.md)";

/** kiam's own subcommand, which is all there is here. */
function agent(): Argument {
  return new Argument("[agent]", "what kiam's manifests begin with").argParser((word) => {
    if (word === "server") throw new AppError("CONFIG_INVALID", 500, NO_SERVER);
    if (word !== "agent") throw new InvalidArgumentError("Allowed choices are agent.");
    return word;
  });
}
