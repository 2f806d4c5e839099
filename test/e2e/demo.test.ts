import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseRoleArn } from "../../lib/arn.ts";
import { missingComponents } from "../kubernetes/components.ts";

const skip = (await missingComponents(process.env)) ?? false;
const irsa = new URL("../../cli/main.ts", import.meta.url).pathname;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-e2e-"));
});
after(() => rm(folder, { recursive: true, force: true }));

interface DemoJson {
  readonly assumedRoleArn: string;
  readonly expiration: string;
  readonly patch: readonly { op: string; path: string; value: unknown }[];
  readonly refusals: readonly { case: string; code: string }[];
  readonly seconds: number;
}

async function run(
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<{ stdout: string; stderr: string; code: number | null }> {
  const child = spawn(process.execPath, [irsa, "demo", ...args], {
    env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { stdout, stderr, code: child.exitCode };
}

function assertProven(demo: DemoJson): void {
  assert.match(demo.assumedRoleArn, /^arn:aws:sts::\d{12}:assumed-role\/report-reader\/report$/);
  const account = demo.assumedRoleArn.split(":")[4];
  assert.ok(Date.parse(demo.expiration) > Date.now());
  assert.ok(demo.patch.length > 0 && demo.patch.every(({ op }) => op === "add"));
  const added = demo.patch.map(({ value }) => value as { name?: string; value?: string });
  const role = added.find(({ name }) => name === "AWS_ROLE_ARN");
  assert.equal(parseRoleArn(role?.value ?? "")?.accountId, account);
  assert.deepEqual(demo.refusals, [
    { case: "wrong ServiceAccount", code: "AccessDenied" },
    { case: "wrong audience", code: "InvalidIdentityToken" },
    { case: "forged token", code: "InvalidIdentityToken" },
  ]);
  assert.ok(demo.seconds > 0);
}

describe("irsa demo", () => {
  it("proves the chain on the embedded API, as one JSON object", async () => {
    const { stdout, stderr, code } = await run(["--json"], { TMPDIR: folder });
    assert.equal(code, 0, stderr);
    assert.equal(stdout.trim().split("\n").length, 1);
    assertProven(JSON.parse(stdout) as DemoJson);
    assert.deepEqual(await readdir(folder), []);
  });

  it("tells the story in plain lines in a pipe", async () => {
    const { stdout, code } = await run([]);
    assert.equal(code, 0);
    assert.ok(!stdout.includes("\u001B"));
    assert.match(stdout, /^ {4}\+ +- name: AWS_ROLE_ARN$/m);
    assert.match(stdout, /wrong ServiceAccount +AccessDenied/);
    assert.match(stdout, /The pod is arn:aws:sts::\d{12}:assumed-role\/report-reader\/report/);
  });

  it("does not depend on the reader's own AWS settings", async () => {
    const { stdout, stderr, code } = await run(["--json"], {
      AWS_PROFILE: "nobody",
      AWS_ENDPOINT_URL: "http://127.0.0.1:9",
      AWS_USE_FIPS_ENDPOINT: "true",
      AWS_USE_DUALSTACK_ENDPOINT: "true",
    });
    assert.equal(code, 0, stderr);
    assertProven(JSON.parse(stdout) as DemoJson);
  });

  it("takes everything down when nobody reads on", async () => {
    const child = spawn(process.execPath, [irsa, "demo"], {
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], TMPDIR: folder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.stdout.once("data", () => child.stdout.destroy());
    const [stderr] = await Promise.all([text(child.stderr), once(child, "close")]);
    assert.equal(stderr, "");
    assert.equal(child.exitCode, 0);
    assert.deepEqual(await readdir(folder), []);
  });

  it("proves the chain on a real API server", { skip }, async () => {
    const { stdout, stderr, code } = await run(["--kubernetes", "--json"]);
    assert.equal(code, 0, stderr);
    assertProven(JSON.parse(stdout) as DemoJson);
  });

  it("says why and exits with 1 when a step fails", async () => {
    const { stderr, code } = await run(["--kubernetes"], { KUBEBUILDER_ASSETS: "/nonexistent" });
    assert.equal(code, 1);
    assert.match(stderr, /^irsa: .*\/nonexistent/);
  });
});
