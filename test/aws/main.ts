// Runs the stand-in alone: npm run -s aws -- --port 0 --trust-ca FILE --resolve NAME=HOST:PORT
// Prints one JSON line on stdout when it listens, and its audit log on stderr.
import { readFile } from "node:fs/promises";
import { inspect } from "node:util";
import { Command } from "commander";
import { AppError, reasonOf } from "../../lib/errors.ts";
import { createLogger } from "../../lib/log.ts";
import { isCertificate } from "./controls.ts";
import { nameTableOf, settings } from "./settings.ts";
import { startAws } from "./start-aws.ts";

const stop = Promise.withResolvers<void>();
// Not once: a terminal and npm both pass Ctrl-C on, and the second must not cut the clean-up short.
for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => stop.resolve());

async function main(): Promise<void> {
  const command = settings
    .addTo(new Command("aws"))
    .description("An honest stand-in of STS, IAM and a little of S3 for tests")
    .allowExcessArguments(false)
    .parse(process.argv);
  const config = settings.read(command, process.env);
  const log = createLogger({ level: "info", service: "aws-stand-in" }, process.stderr);
  await using aws = await startAws({
    ...config,
    trustCaPems: await Promise.all(config.trustCa.map(readAuthorities)),
    resolve: nameTableOf(config.resolve),
    onCall: (call) => log.info({ call }, "Answered call"),
    onError: (err) => log.error({ err }, "Call failed"),
  });
  const { sts, iam, s3, ca, control, accounts } = aws;
  process.stdout.write(`${JSON.stringify({ sts, iam, s3, ca, control, accounts })}\n`);
  await stop.promise;
}

async function readAuthorities(path: string): Promise<string> {
  let pem: string;
  try {
    pem = await readFile(path, "utf8");
  } catch (cause) {
    const message = `Cannot read --trust-ca "${path}": ${reasonOf(cause)}`;
    throw new AppError("CONFIG_INVALID", 500, message, { cause });
  }
  if (isCertificate(pem)) return pem;
  const message = `Cannot use --trust-ca "${path}": expected certificates in PEM`;
  throw new AppError("CONFIG_INVALID", 500, message);
}

try {
  await main();
} catch (err) {
  // A mistake of the user deserves a sentence, anything else its stack.
  process.stderr.write(`aws: ${err instanceof AppError ? err.message : inspect(err)}\n`);
  process.exitCode = 1;
}
