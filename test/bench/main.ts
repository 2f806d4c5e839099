// Measures the webhook: npm run bench [-- --accounts 500 --seconds 1]
// Prints a table, and as its last line all figures as JSON. Exit status 1: it could not be measured.
import { inspect } from "node:util";
import { Command } from "commander";
import { defineConfig, integer, value } from "../../lib/config.ts";
import { AppError } from "../../lib/errors.ts";
import { findCores } from "./cores.ts";
import { goalsOf } from "./result.ts";
import { tableOf } from "./table.ts";
import { benchWebhook } from "./webhook-bench.ts";

const settings = defineConfig({
  accounts: value(
    "accounts",
    integer({ min: 20, max: 200_000, fallback: 50_000 }),
    "ServiceAccounts in the API server; every tenth has a role",
  ),
  seconds: value(
    "seconds",
    integer({ min: 1, max: 60, fallback: 3 }),
    "Length of each load; there are 12 of them a round",
  ),
  rounds: value(
    "rounds",
    integer({ min: 1, max: 9, fallback: 3 }),
    "Starts and rounds, of which the medians are told",
  ),
});

class Stopped extends Error {}

const stop = new AbortController();
const stopped = Promise.withResolvers<never>();
// Not once: a terminal and npm both pass Ctrl-C on, and the second must not cut the clean-up short.
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    stop.abort();
    stopped.reject(new Stopped(`stopped by ${signal}`));
  });
}

async function main(): Promise<void> {
  const command = settings
    .addTo(new Command("bench"))
    .description("Measures the webhook against a real API server and a calibration")
    .allowExcessArguments(false)
    .parse();
  const { accounts, seconds, rounds } = settings.read(command, process.env);
  await using stack = new AsyncDisposableStack();
  const options = {
    accounts,
    rounds,
    secondsPerLoad: seconds,
    cores: await findCores(process.env["PATH"] ?? ""),
    signal: stop.signal,
    progress: (message: string) => process.stderr.write(`${message}\n`),
  };
  const measured = await Promise.race([benchWebhook(options, stack), stopped.promise]);
  const goals = goalsOf(measured);
  process.stdout.write(`${tableOf(measured, goals)}\n`);
  process.stdout.write(`${JSON.stringify({ bench: "webhook", ...measured, goals })}\n`);
}

/** What a user did deserves a sentence, anything else its stack. */
function isPlain(err: unknown): err is Error {
  return err instanceof AppError || err instanceof Stopped;
}

try {
  await main();
} catch (err) {
  process.stderr.write(`bench: ${isPlain(err) ? err.message : inspect(err)}\n`);
  process.exitCode = 1;
}
