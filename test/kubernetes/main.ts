// A control plane, with nodes when asked for, for use by hand: npm run kubernetes [-- --help]
// Prints one JSON line when it is ready, and stops on SIGTERM or SIGINT.
import { once } from "node:events";
import { inspect } from "node:util";
import { Command } from "commander";
import { z } from "zod";
import { defineConfig, integer, list, toggle, value } from "../../lib/config.ts";
import { AppError } from "../../lib/errors.ts";
import { startCluster } from "./cluster.ts";
import { startControlPlane } from "./control-plane.ts";
import { missingNodeParts } from "./nodes/missing-node-parts.ts";

const settings = defineConfig({
  issuers: list("issuer", z.string(), "Issuer of tokens; the first signs, all are accepted"),
  apiServers: value(
    "api-servers",
    integer({ min: 1, max: 8, fallback: 1 }),
    "API servers on the one etcd",
  ),
  controllerManager: toggle("controller-manager", true, "Whether kube-controller-manager runs"),
  scheduler: toggle("scheduler", true, "Whether kube-scheduler runs"),
  nodes: value(
    "nodes",
    integer({ min: 0, max: 2, fallback: 0 }),
    "Nodes, with which the control plane has both; they need root",
  ),
  ipv6: toggle("ipv6", false, "Whether nodes and pods have IPv6 addresses too"),
  cni: value("cni", z.enum(["bridge", "ptp"]).default("bridge"), "How pods are linked to a node"),
});

async function main(): Promise<void> {
  const command = settings.addTo(new Command("kubernetes")).parse();
  const { nodes, cni, ipv6, ...read } = settings.read(command, process.env);
  const options = {
    issuers: read.issuers.length === 0 ? undefined : read.issuers,
    apiServers: Array.from({ length: read.apiServers }, () => ({})),
  };
  if (nodes === 0) {
    await using plane = await startControlPlane({ ...read, ...options });
    const { url: server, kubeconfig } = plane;
    await untilStopped({ server, servers: plane.apiServers.map(({ url }) => url), kubeconfig });
    return;
  }
  const missing = await missingNodeParts(process.env);
  if (missing !== undefined) throw new AppError("KUBERNETES_UNAVAILABLE", 500, missing);
  await using cluster = await startCluster({ ...options, nodes, cni, ipv6 });
  const { url: server, kubeconfig } = cluster;
  const shells = cluster.nodes.map(({ name, inside }) => [name, inside(["sh"]).join(" ")] as const);
  await untilStopped({ server, kubeconfig, shells: Object.fromEntries(shells) });
}

async function untilStopped(facts: object): Promise<void> {
  process.stdout.write(`${JSON.stringify(facts)}\n`);
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
