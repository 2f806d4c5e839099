// The shim's part of main.ts, which runs it in a network namespace with the addresses of its pods.
import { resolve } from "node:path";
import { inspect } from "node:util";
import { Command } from "commander";
import { findCores } from "./cores.ts";
import { settings } from "./settings.ts";
import { benchShim } from "./shim-bench.ts";
import { shimGoalsOf } from "./shim-result.ts";
import { shimTableOf } from "./shim-table.ts";

const stop = new AbortController();
const stopped = Promise.withResolvers<never>();
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    stop.abort();
    stopped.reject(new Error(`stopped by ${signal}`));
  });
}

async function main(): Promise<void> {
  const command = settings.addTo(new Command("shim-bench")).parse();
  const { pods, seconds, rounds, shimProfile } = settings.read(command, process.env);
  await using stack = new AsyncDisposableStack();
  const options = {
    pods,
    rounds,
    secondsPerLoad: seconds,
    cores: await findCores(process.env["PATH"] ?? ""),
    nodeFlags: shimProfile === "" ? [] : ["--cpu-prof", `--cpu-prof-dir=${resolve(shimProfile)}`],
    signal: stop.signal,
    progress: (message: string) => process.stderr.write(`${message}\n`),
  };
  const measured = await Promise.race([benchShim(options, stack), stopped.promise]);
  const goals = shimGoalsOf(measured);
  process.stdout.write(`${shimTableOf(measured, goals)}\n`);
  process.stdout.write(`${JSON.stringify({ bench: "shim", ...measured, goals })}\n`);
}

try {
  await main();
} catch (err) {
  if (!stop.signal.aborted) process.stderr.write(`bench: ${inspect(err)}\n`);
  process.exitCode = 1;
}
