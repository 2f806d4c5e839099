import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { createAuthority } from "../../lib/certificates.ts";
import { validityAroundNow } from "./fixtures/issuer-server.ts";

// The stand-in as a program of its own, as somebody else's CI runs it.
const root = fileURLToPath(new URL("../../", import.meta.url));
const children = new Set<ChildProcess>();
let folder = "";
let trustCa = "";
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "aws-main-test-"));
  trustCa = join(folder, "ca.pem");
  await writeFile(trustCa, (await createAuthority("test", validityAroundNow())).cert);
});
after(async () => {
  // SIGTERM, since npm passes on no SIGKILL.
  for (const child of children) child.kill("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

interface Listening {
  readonly sts: string;
  readonly iam: string;
  readonly s3: string;
  readonly ca: string;
  readonly control: string;
  readonly accounts: readonly { readonly accountId: string }[];
}

function start(...args: string[]) {
  return startCommand(process.execPath, ["test/aws/main.ts", ...args]);
}

function startCommand(command: string, args: readonly string[]) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, AWS_EC2_METADATA_DISABLED: "true", TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  const exited = once(child, "exit").finally(() => children.delete(child));
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  return { child, exited, errors: () => errors };
}

describe("npm run aws", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it(`prints one JSON line, serves, and leaves nothing behind on ${signal}`, async () => {
      const name = "oidc.example=127.0.0.1:8443";
      const twice = ["--trust-ca", trustCa, "--trust-ca", trustCa];
      const names = ["--resolve", name, "--resolve", "six.example=[::1]:443"];
      const { child, exited, errors } = start("--port", "0", ...twice, ...names);
      const lines: string[] = [];
      const output = createInterface(child.stdout).on("line", (line) => lines.push(line));
      await Promise.race([once(output, "line"), exited]);
      const listening = JSON.parse(lines[0] ?? "") as Listening;
      assert.deepEqual(Object.keys(listening), ["sts", "iam", "s3", "ca", "control", "accounts"]);
      assert.deepEqual(
        listening.accounts.map((account) => [account.accountId, Object.keys(account)]),
        [
          ["111122223333", ["accountId", "accessKeyId", "secretAccessKey"]],
          ["444455556666", ["accountId", "accessKeyId", "secretAccessKey"]],
        ],
      );
      const ca = await readFile(listening.ca, "utf8");
      assert.equal(await statusOf(`${listening.sts}/?Action=X&Version=2011-06-15`, ca), 400);
      const control = await fetch(listening.control, { headers: { connection: "close" } });
      assert.equal(((await control.json()) as { calls: unknown[] }).calls.length, 1);

      child.kill(signal);
      child.kill(signal);
      // The second may come when the program has cleaned up and does not listen for signals any more.
      const [code, endedBy] = (await exited) as [number | null, NodeJS.Signals | null];
      assert.ok(code === 0 || endedBy === signal, `exit code ${code}, signal ${endedBy}`);
      assert.equal(existsSync(listening.ca), false);
      assert.equal(lines.length, 1);
      const [audit, ...more] = errors().trim().split("\n");
      assert.deepEqual(more, []);
      const { msg, call } = JSON.parse(audit ?? "") as {
        msg: string;
        call: Record<string, string>;
      };
      const facts = [msg, call["service"], call["action"], call["code"]];
      assert.deepEqual(facts, ["Answered call", "sts", "X", "InvalidAction"]);
    });
  }

  it("stops with npm when npm is told to", async () => {
    const { child, exited } = startCommand("npm", ["run", "-s", "aws", "--", "--port", "0"]);
    const [line] = await Promise.race([once(createInterface(child.stdout), "line"), exited]);
    const { ca } = JSON.parse(String(line)) as Listening;
    assert.equal(existsSync(ca), true);
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
    assert.equal(existsSync(ca), false);
  });

  for (const [name, args, wanted] of [
    ["an unknown flag", ["--prot", "0"], /unknown option '--prot'/],
    ["an argument", ["extra"], /too many arguments/],
    [
      "three bad values, all named",
      ["--port", "99999", "--resolve", "a.example", "--partition", "gcp"],
      /--port "99999": expected an integer from 0 to 65535\n.*--resolve .*expected NAME=HOST:PORT\n.*--partition "gcp"/,
    ],
    ["a CA file that is not there", ["--trust-ca", "nowhere.pem"], /--trust-ca "nowhere.pem"/],
    ["a CA file that is none", ["--trust-ca", "package.json"], /expected certificates in PEM/],
  ] as const) {
    it(`${name}: a sentence and exit code 1`, async () => {
      const { exited, errors, child } = start(...args);
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
      assert.deepEqual(await exited, [1, null]);
      assert.match(errors(), wanted);
      assert.doesNotMatch(errors(), /\n\s+at /);
      assert.equal(output, "");
    });
  }
});

function statusOf(url: string, ca: string): Promise<number | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
  request(url, { ca, agent: false }, (response) => resolve(response.resume().statusCode))
    .once("error", reject)
    .end();
  return promise;
}
