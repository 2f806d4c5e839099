import type { Command } from "commander";
import { createLogger } from "../../lib/log.ts";
import type { Program } from "../../lib/program.ts";
import { webhookConfig } from "../../webhook/config.ts";

/** `irsa webhook`: gives pods their identity until it is told to stop. */
export function addWebhook(irsa: Command, { env, stdout, signal }: Program): void {
  const command = irsa
    .command("webhook")
    .description("Gives pods the AWS role of their ServiceAccount when they are created");
  webhookConfig.addTo(command).action(async () => {
    const config = webhookConfig.read(command, env);
    const log = createLogger({ level: config.logLevel, service: "webhook" }, stdout);
    // Only now, so that other commands do not wait for the Kubernetes client to load.
    const { startWebhook } = await import("../../webhook/main.ts");
    await using webhook = await startWebhook(config, { env, log });
    const stopped = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => stopped.resolve(), { once: true });
    if (!signal.aborted) await stopped.promise;
    log.info({ signal: String(signal.reason), port: webhook.port }, "Stopping");
  });
}
