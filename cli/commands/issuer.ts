import type { Command } from "commander";
import { createLogger } from "../../lib/log.ts";
import type { Program } from "../../lib/program.ts";
import { issuerConfig } from "../../oidc-issuer/config.ts";

/** `irsa issuer`: publishes the cluster's discovery document and keys until it is told to stop. */
export function addIssuer(irsa: Command, { env, stdout, signal }: Program): void {
  const command = irsa
    .command("issuer")
    .description("Publishes the cluster's OIDC discovery document and keys, for AWS STS");
  issuerConfig.addTo(command).action(async () => {
    const config = issuerConfig.read(command, env);
    const log = createLogger({ level: config.logLevel, service: "issuer" }, stdout);
    // Only now, so that other commands do not wait for the Kubernetes client to load.
    const { publishOnce, startIssuer } = await import("../../oidc-issuer/main.ts");
    if (config.once) {
      await publishOnce(config, { log });
      return;
    }
    await using issuer = await startIssuer(config, { log });
    const stopped = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => stopped.resolve(), { once: true });
    if (!signal.aborted) await stopped.promise;
    log.info({ signal: String(signal.reason), port: issuer.port }, "Draining");
  });
}
