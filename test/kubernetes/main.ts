// A control plane for use by hand: npm run kubernetes [-- --help]
// Prints one JSON line when it is ready, and stops on SIGTERM or SIGINT.
import { once } from "node:events";
import { inspect } from "node:util";
import { Command } from "commander";
import { z } from "zod";
import { defineConfig, integer, list, toggle, value } from "../../lib/config.ts";
import { AppError } from "../../lib/errors.ts";
import { startControlPlane } from "./control-plane.ts";

const settings = defineConfig({
  issuers: list("issuer", z.string(), "Issuer of tokens; the first signs, all are accepted"),
  apiServers: value(
    "api-servers",
    integer({ min: 1, max: 9, fallback: 1 }),
    "API servers on the one etcd",
  ),
  controllerManager: toggle("controller-manager", true, "Whether kube-controller-manager runs"),
  scheduler: toggle("scheduler", true, "Whether kube-scheduler runs"),
});

async function main(): Promise<void> {
  const command = settings.addTo(new Command("kubernetes")).parse();
  const { issuers, apiServers, controllerManager, scheduler } = settings.read(command, process.env);
  await using plane = await startControlPlane({
    issuers: issuers.length === 0 ? undefined : issuers,
    apiServers: Array.from({ length: apiServers }, () => ({})),
    controllerManager,
    scheduler,
  });
  const { url: server, kubeconfig } = plane;
  const servers = plane.apiServers.map(({ url }) => url);
  process.stdout.write(`${JSON.stringify({ server, servers, kubeconfig })}\n`);
  // A control plane does not keep its process alive.
  const alive = setInterval(() => {}, 60_000);
  // Only now: during the start a signal ends the process as usual, and nothing is left of it.
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  clearInterval(alive);
}

try {
  await main();
} catch (err) {
  process.stderr.write(`kubernetes: ${err instanceof AppError ? err.message : inspect(err)}\n`);
  process.exitCode = 1;
}
