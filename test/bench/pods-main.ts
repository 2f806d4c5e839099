// Measures what the webhook adds to the start of a pod, on a real node: npm run bench:pods [-- --pods 10]
// Prints a table, and as its last line all figures as JSON. Needs what the tests with nodes need.
import { inspect } from "node:util";
import { Command } from "commander";
import { defineConfig, integer, value } from "../../lib/config.ts";
import { AppError } from "../../lib/errors.ts";
import { missingProductParts } from "../e2e/pods/product-cluster.ts";
import { benchPods, type PodStart } from "./pods-bench.ts";

const settings = defineConfig({
  pods: value(
    "pods",
    integer({ min: 1, max: 1000, fallback: 50 }),
    "Pods with, and as many without",
  ),
});

async function main(): Promise<void> {
  const command = settings
    .addTo(new Command("bench:pods"))
    .description(
      "Measures the time from the creation of a pod to Running, with and without the webhook",
    )
    .allowExcessArguments(false)
    .parse();
  const { pods } = settings.read(command, process.env);
  const missing = await missingProductParts(process.env);
  if (missing !== undefined) throw new AppError("KUBERNETES_UNAVAILABLE", 500, missing);
  const measured = await benchPods(pods);
  const ratio = measured.with.runningMs / measured.without.runningMs;
  const table = [
    rowOf("milliseconds", ["created", "Running", "slowest"]),
    rowOf("without", figuresOf(measured.without)),
    rowOf("with", figuresOf(measured.with)),
    `Running, with / without: ${ratio.toFixed(3)}`,
  ];
  process.stdout.write(`${table.join("\n")}\n`);
  process.stdout.write(`${JSON.stringify({ bench: "pods", pods, ...measured, ratio })}\n`);
}

function figuresOf({ createMs, runningMs, slowestMs }: PodStart): readonly string[] {
  return [createMs, runningMs, slowestMs].map((ms) => ms.toFixed(1));
}

function rowOf(name: string, cells: readonly string[]): string {
  return [name.padEnd(14), ...cells.map((cell) => cell.padStart(10))].join("");
}

try {
  await main();
} catch (err) {
  process.stderr.write(`bench:pods: ${err instanceof AppError ? err.message : inspect(err)}\n`);
  process.exitCode = 1;
}
