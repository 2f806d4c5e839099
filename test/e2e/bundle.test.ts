import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { stringify } from "yaml";

// What ships is one file that runs without the repository around it.

const root = new URL("../../", import.meta.url);
const ROLE = "arn:aws:iam::111122223333:role/reader";
const run = promisify(execFile);

let folder: string;
let bundle: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-bundle-"));
  bundle = join(folder, "irsa.mjs");
  const packageJson = await readFile(new URL("package.json", root), "utf8");
  const { build } = (JSON.parse(packageJson) as { scripts: { build: string } }).scripts;
  const [program = "", ...args] = build.replace("dist/irsa.mjs", bundle).split(" ");
  await run(new URL(`node_modules/.bin/${program}`, root).pathname, args, { cwd: root });
});
after(() => rm(folder, { recursive: true, force: true }));

const irsa = async (...args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, [bundle, ...args], { cwd: folder });

describe("the bundle", () => {
  it("is one file", async () => {
    assert.deepEqual(await readdir(folder), ["irsa.mjs"]);
  });

  it("knows its version and every command", async () => {
    assert.match((await irsa("--version")).stdout, /^\d+\.\d+\.\d+\n$/);
    const { stdout } = await irsa("--help");
    for (const command of ["demo", "inject", "issuer", "webhook"]) {
      assert.match(stdout, new RegExp(`^  ${command} `, "m"));
    }
  });

  it("injects in a pipe", async () => {
    const serviceAccounts = join(folder, "accounts.yaml");
    await writeFile(
      serviceAccounts,
      stringify({
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: { name: "reader", annotations: { "eks.amazonaws.com/role-arn": ROLE } },
      }),
    );
    const args = ["inject", "-f", "-", "--service-account-file", serviceAccounts];
    const child = spawn(process.execPath, [bundle, ...args]);
    child.stdin.end(
      stringify({
        apiVersion: "v1",
        kind: "Pod",
        spec: { serviceAccountName: "reader", containers: [{ name: "a" }] },
      }),
    );
    const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
    assert.match(stdout, /name: AWS_ROLE_ARN\n +value: arn:aws:iam::111122223333:role\/reader\n/);
    assert.match(stderr, /injected/);
    await rm(serviceAccounts);
  });

  it("plays the demo", async () => {
    const { stdout } = await irsa("demo", "--json");
    const { assumedRoleArn } = JSON.parse(stdout) as { assumedRoleArn: string };
    assert.match(assumedRoleArn, /^arn:aws:sts::\d{12}:assumed-role\//);
  });

  it("says what a real control plane needs where there is no checkout", async () => {
    await assert.rejects(irsa("demo", "--kubernetes"), (err: { stderr: string; code: number }) => {
      assert.equal(err.code, 1);
      assert.match(err.stderr, /^irsa: .*checkout/);
      return true;
    });
  });
});
