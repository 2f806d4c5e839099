import type { Command } from "commander";
import pico from "picocolors";
import { createLogger } from "../../lib/log.ts";
import type { Program } from "../../lib/program.ts";
import type { Narrator } from "../demo/narrator.ts";
import type { StartCluster } from "../demo/chain.ts";

interface DemoOptions {
  readonly json?: boolean;
  readonly kubernetes?: boolean;
}

/** Adds `irsa demo`: the whole chain on this machine, with no cluster, no AWS account and no root. */
export function addDemo(irsa: Command, program: Program): void {
  irsa
    .command("demo")
    .description("Plays the whole chain on this machine: no cluster, no AWS account, no root")
    .option("--json", "Prints one JSON object instead of the story")
    .option("--kubernetes", "Uses a real control plane, built from Go modules (needs Go)")
    .action(async ({ json = false, kubernetes = false }: DemoOptions) => {
      const startMs = performance.now();
      const { runDemo } = await import("../demo/run-demo.ts");
      const outcome = await runDemo(await clusterStarter(kubernetes), {
        narrator: await narratorFor(program, json),
        log: createLogger({ level: "error", service: "demo" }, program.stderr),
        nowMs: Date.now(),
        signal: program.signal,
      });
      const seconds = Number(((performance.now() - startMs) / 1000).toFixed(1));
      program.stdout.write(
        json
          ? `${JSON.stringify({ ...outcome, seconds })}\n`
          : `\nThe pod is ${outcome.assumedRoleArn}\n` +
              `${outcome.refusals.length} attempts were refused as they must be; ${seconds} s in all.\n`,
      );
    });
}

async function narratorFor({ stdout }: Program, json: boolean): Promise<Narrator> {
  const { createNarrator, silentNarrator } = await import("../demo/narrator.ts");
  if (json) return silentNarrator;
  const isTerminal = "isTTY" in stdout && stdout.isTTY === true;
  return createNarrator(stdout, { isTerminal, isColoured: isTerminal && pico.isColorSupported });
}

async function clusterStarter(kubernetes: boolean): Promise<StartCluster> {
  if (kubernetes) return (await import("../demo/real-cluster.ts")).startRealCluster;
  return (await import("../demo/embedded/embedded-cluster.ts")).startEmbeddedCluster;
}
