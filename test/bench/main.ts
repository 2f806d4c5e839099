// Measures the webhook and the shim: npm run bench [-- [webhook] [shim] --accounts 500 --seconds 1]
// Prints for each a table, and all its figures as a line of JSON. Exit status 1: it could not be measured.
import { inspect } from "node:util";
import { Argument, Command } from "commander";
import { AppError } from "../../lib/errors.ts";
import { missingTools } from "../network/missing-tools.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";
import { buildTrustedCluster } from "../shim/trusted-cluster.ts";
import { findCores } from "./cores.ts";
import { BENCH_ADDRESSES } from "./node-pods.ts";
import { goalsOf } from "./result.ts";
import { PARTS, settings, type Part } from "./settings.ts";
import { tableOf } from "./table.ts";
import { benchWebhook } from "./webhook-bench.ts";

class Stopped extends Error {}

/** Longest wait for what was started to end by itself. */
const STOP_MS = 20_000;

const stop = new AbortController();
const stopped = Promise.withResolvers<never>();
// Not once: a terminal and npm both pass Ctrl-C on, and the second must not cut the clean-up short.
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.on(signal, () => {
    stop.abort();
    stopped.reject(new Stopped(`stopped by ${signal}`));
  });
}

const RUN: Readonly<Record<Part, (config: Config) => Promise<void>>> = {
  webhook: runWebhook,
  shim: runShim,
};
type Config = ReturnType<typeof settings.read>;

async function main(): Promise<void> {
  const command = settings
    .addTo(new Command("bench"))
    .description("Measures the webhook and the shim against a real API server and bare servers")
    .addArgument(new Argument("[parts...]", "what to measure; all when absent").choices(PARTS))
    .parse();
  const config = settings.read(command, process.env);
  const parts = PARTS.filter((part) => command.args.length === 0 || command.args.includes(part));
  for (const part of parts) await RUN[part](config);
}

async function runWebhook({ accounts, seconds, rounds }: Config): Promise<void> {
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

/** In a network namespace, where pods have addresses. */
async function runShim({ pods, seconds, rounds, shimProfile }: Config): Promise<void> {
  const missing = missingTools(process.env, ["unshare", "setpriv", "ip"]);
  if (missing !== undefined) throw new AppError("INPUT_INVALID", 400, `shim: ${missing}`);
  await Promise.race([buildTrustedCluster(process.env), stopped.promise]);
  const file = new URL("shim-main.ts", import.meta.url).pathname;
  const args = [`--pods=${pods}`, `--seconds=${seconds}`, `--rounds=${rounds}`];
  args.push(`--shim-profile=${shimProfile}`);
  const place = { args, addresses: BENCH_ADDRESSES, signal: stop.signal };
  const code = await Promise.race([runInsideNamespace(file, {}, tell, place), stopped.promise]);
  process.exitCode = code ?? 1;
}

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
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
  // What is left by then, such as a build of the cluster, ends with this process.
  setTimeout(() => process.exit(), STOP_MS).unref();
}
