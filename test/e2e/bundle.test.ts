import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { stringify } from "yaml";
import { buildBundle } from "../bench/bundle.ts";

// What ships is one folder that runs without the repository around it.

const ROLE = "arn:aws:iam::111122223333:role/reader";
const run = promisify(execFile);

let folder: string;
let bundle: string;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "irsa-bundle-"));
  bundle = await buildBundle(folder);
});
after(() => rm(folder, { recursive: true, force: true }));

const irsa = async (...args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
  run(process.execPath, [bundle, ...args], { cwd: folder });

describe("the bundle", () => {
  it("finds every module that a part of it imports", async () => {
    const files = (await readdir(dirname(bundle))).filter(
      (file) => file.endsWith(".mjs") && file !== "irsa.mjs",
    );
    assert.ok(files.length > 5, `only ${files.join(", ")}`);
    const imports = files.map((file) => `await import(${JSON.stringify(`./${file}`)});`);
    const loaded = `console.log(process.moduleLoadList.filter((name) => name.includes("undici")));`;
    await writeFile(join(dirname(bundle), "all.mjs"), [...imports, loaded].join("\n"));
    const result = await run(process.execPath, [join(dirname(bundle), "all.mjs")]);
    // With the undici of Node each program would need several MB more (scripts/http-alone.ts).
    assert.deepEqual(result, { stdout: "[]\n", stderr: "" });
  });

  it("is written in ASCII, as one wide character doubles a file in memory", async () => {
    const place = dirname(bundle);
    const programs = (await readdir(place)).filter((file) => file.endsWith(".mjs"));
    const texts = await Promise.all(programs.map((file) => readFile(join(place, file), "utf8")));
    const wide = programs.filter((_file, i) => /[^\0-\x7f]/.test(texts[i] ?? ""));
    assert.deepEqual(wide, []);
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
