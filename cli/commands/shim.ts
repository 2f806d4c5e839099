import { Argument, type Command } from "commander";
import { createLogger } from "../../lib/log.ts";
import type { Program } from "../../lib/program.ts";
import { shimConfig } from "../../metadata-shim/config.ts";
import { legacyPlaceOf } from "../../metadata-shim/legacy/legacy-config.ts";
import { addShimRules } from "./shim-rules.ts";

/** `irsa shim`: the node agent, which serves until it is told to stop. */
export function addShim(irsa: Command, program: Program): void {
  const { env, stdout, signal } = program;
  // Else flags of `shim rules` would be taken for those of the agent with the same names.
  irsa.enablePositionalOptions();
  const command = irsa
    .command("shim")
    .description("Gives pods that know only the metadata endpoint their own AWS role")
    .addArgument(new Argument("[agent]", "what kiam's manifests begin with").choices(["agent"]));
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
