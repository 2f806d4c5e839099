// Runs the tests by level and prints how many ran: npm test [-- LEVEL...] (unit aws kubernetes e2e)
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, globSync } from "node:fs";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { underLifeline } from "../test/kubernetes/supervised-process.ts";

const root = new URL("../", import.meta.url);

/** Each level with its test files, cheapest first. Set-up that a level needs is part of its tests. */
const LEVELS: Readonly<Record<string, readonly string[]>> = {
  unit: [
    "{cli,lib,metadata-shim,oidc-issuer,scripts,webhook}/**/*.test.ts",
    "test/*.test.ts",
    "test/{bench,shim}/*.test.ts",
  ],
  aws: ["test/aws/**/*.test.ts"],
  kubernetes: ["test/kubernetes/**/*.test.ts", "test/helm/**/*.test.ts"],
  e2e: ["test/e2e/**/*.test.ts"],
};

/** The levels that start clusters with nodes. */
const LEVELS_WITH_NODES: readonly string[] = ["kubernetes", "e2e"];

/** Where it cannot, or fails, the tests tell what is missing. */
function installPackages(): void {
  const isOurs = process.getuid?.() === 0 && existsSync("/etc/debian_version");
  const script = fileURLToPath(new URL("scripts/install-node-packages.sh", root));
  if (isOurs) spawnSync(script, { stdio: ["ignore", "inherit", "inherit"] });
}

interface Counts {
  pass: number;
  fail: number;
  skipped: number;
}

/** The signal that asked this program to stop. */
let stoppedBy: NodeJS.Signals | undefined;

async function runLevel(files: readonly string[]): Promise<Counts> {
  const flags = ["--test", "--test-reporter=spec", "--test-concurrency=2"];
  const [program, ...args] = underLifeline("tests", [process.execPath, ...flags, ...files]);
  const child = spawn(program, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit", "pipe"],
    // A group of its own, so that a signal ends the test files too, which each are a process.
    detached: true,
  });
  child.once("exit", () => child.stdio[3]?.destroy());
  if (child.stdout === null) throw new Error("Expected the output of the tests");
  const stop = (signal: NodeJS.Signals): void => {
    stoppedBy = signal;
    if (child.pid !== undefined) process.kill(-child.pid, "SIGTERM");
  };
  process.once("SIGINT", stop).once("SIGTERM", stop);
  const [counts] = await Promise.all([echoAndCount(child.stdout), once(child, "close")]);
  process.off("SIGINT", stop).off("SIGTERM", stop);
  if (child.exitCode !== 0 && counts.fail === 0) counts.fail = 1;
  return counts;
}

async function echoAndCount(output: Readable): Promise<Counts> {
  const counts: Counts = { pass: 0, fail: 0, skipped: 0 };
  for await (const line of createInterface(output)) {
    process.stdout.write(`${line}\n`);
    const [, key, count] = /^ℹ (pass|fail|cancelled) (\d+)$/.exec(line) ?? [];
    if (key === "pass") counts.pass = Number(count);
    if (key === "fail" || key === "cancelled") counts.fail += Number(count);
    // By its mark, since the runner's own sum leaves out a skipped suite with all its tests.
    if (/^\s*﹣ /.test(line)) counts.skipped += 1;
  }
  return counts;
}

const asked = process.argv.slice(2);
const unknown = asked.filter((level) => !(level in LEVELS));
if (unknown.length > 0) {
  process.stderr.write(
    `Unknown level ${unknown.join(", ")}: use ${Object.keys(LEVELS).join(", ")}\n`,
  );
  process.exit(2);
}

const total: Counts = { pass: 0, fail: 0, skipped: 0 };
const table: string[] = [];
for (const [level, patterns] of Object.entries(LEVELS)) {
  if (stoppedBy !== undefined || (asked.length > 0 && !asked.includes(level))) continue;
  const files = globSync([...patterns], { cwd: root });
  if (files.length === 0) continue;
  if (LEVELS_WITH_NODES.includes(level)) installPackages();
  const startMs = Date.now();
  const counts = await runLevel(files);
  const seconds = ((Date.now() - startMs) / 1000).toFixed(1);
  table.push(
    `${level.padEnd(12)}${counts.pass} passed, ${counts.fail} failed, ${counts.skipped} skipped in ${seconds} s`,
  );
  for (const key of ["pass", "fail", "skipped"] as const) total[key] += counts[key];
}

process.stdout.write(`\n${table.join("\n")}\n`);
process.stdout.write(`${total.pass} passed, ${total.fail} failed, ${total.skipped} skipped\n`);
// What the machine lacks may be skipped on a laptop, never in CI.
const skipIsFailure = process.env["CI"] === "true" && total.skipped > 0;
if (skipIsFailure) process.stderr.write("A test was skipped, which CI does not allow\n");
if (stoppedBy !== undefined) process.stderr.write(`Stopped by ${stoppedBy}\n`);
if (total.pass === 0) process.stderr.write("No test ran\n");
const isGreen = total.fail === 0 && total.pass > 0 && !skipIsFailure && stoppedBy === undefined;
process.exitCode = isGreen ? 0 : 1;
