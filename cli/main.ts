#!/usr/bin/env node
// The one process entry: the only file that reads argv and the environment, takes signals, or exits.
import { inspect } from "node:util";
import { Command, CommanderError } from "commander";
import { AppError } from "../lib/errors.ts";
import { keepTicksQuick } from "../lib/keep-ticks-quick.ts";
import type { Program } from "../lib/program.ts";
import packageJson from "../package.json" with { type: "json" };
import { addDemo } from "./commands/demo.ts";
import { addExplain } from "./commands/explain.ts";
import { addInject } from "./commands/inject.ts";
import { addIssuer } from "./commands/issuer.ts";
import { addShim } from "./commands/shim.ts";
import { addWebhook } from "./commands/webhook.ts";

keepTicksQuick();
const stop = new AbortController();
let isReaderGone = false;
for (const signal of ["SIGTERM", "SIGINT"] as const) {
  process.once(signal, () => stop.abort(signal));
}
// Not by an exit here: what a command has started and made is taken down first.
process.stdout.on("error", (err: NodeJS.ErrnoException) => {
  // A reader that closes the pipe early (`irsa inject … | head`) is no error of ours.
  if (err.code !== "EPIPE" && !stop.signal.aborted) {
    process.stderr.write(`irsa: Cannot write to stdout: ${err.message}\n`);
    process.exitCode = 1;
  }
  isReaderGone ||= err.code === "EPIPE";
  stop.abort(err);
});

const program: Program = {
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  signal: stop.signal,
};

const irsa = new Command("irsa")
  .description(
    "AWS credentials for pods on any Kubernetes cluster, without node roles and without long-lived keys",
  )
  .version(packageJson.version)
  // Each description says its default and environment itself; commander would add its presets.
  .configureHelp({ optionDescription: ({ description }) => description })
  .exitOverride();
const commands: readonly ((irsa: Command, program: Program) => void)[] = [
  addWebhook,
  addIssuer,
  addShim,
  addInject,
  addExplain,
  addDemo,
];
for (const add of commands) add(irsa, program);

try {
  await irsa.parseAsync(process.argv);
} catch (err) {
  if (isReaderGone) {
    process.exitCode = 0;
  } else if (err instanceof CommanderError) {
    process.exitCode = err.exitCode;
  } else {
    // A mistake of the user deserves a sentence, anything else its stack.
    process.stderr.write(`irsa: ${err instanceof AppError ? err.message : inspect(err)}\n`);
    process.exitCode = 1;
  }
}
