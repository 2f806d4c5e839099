import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { describe, it } from "node:test";
import { Command } from "commander";
import { newSigningKey } from "../../test/aws/fixtures/signing-keys.ts";
import { ask } from "../../test/fakes/ask.ts";
import { startNodeApiServer } from "../../test/fakes/node-api-server.ts";
import { until } from "../../test/fakes/until.ts";
import packageJson from "../../package.json" with { type: "json" };
import { addShim } from "./shim.ts";

type Line = Readonly<Record<string, unknown>>;

interface Run {
  readonly lines: readonly Line[];
  readonly text: () => string;
  readonly running: Promise<unknown>;
  stop(): void;
}

function runShim(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Run {
  const lines: Line[] = [];
  let text = "";
  const stdout = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      if (text.startsWith("{")) lines.push(JSON.parse(chunk.toString()));
      done();
    },
  });
  const stop = new AbortController();
  const irsa = new Command("irsa").exitOverride().configureOutput({
    writeErr: () => {},
    writeOut: (line) => {
      text += line;
    },
  });
  addShim(irsa, {
    env: { AWS_EC2_METADATA_DISABLED: "true", ...env },
    stdin: Readable.from([]),
    stdout,
    stderr: stdout,
    signal: stop.signal,
  });
  const running = irsa.parseAsync(["shim", ...argv], { from: "user" });
  return { lines, text: () => text, running, stop: () => stop.abort("SIGTERM") };
}

describe("irsa shim", () => {
  for (const [profile, flags] of [
    ["strict", []],
    ["kube2iam", ["--namespace-restrictions=true", "--cache-resync-period=30m"]],
    ["kiam", ["agent", "--json-log", "--no-iptables-remove", "--gateway-timeout-creation=1s"]],
  ] as const) {
    it(`serves until it is told to stop (${profile})`, async () => {
      await using stack = new AsyncDisposableStack();
      const folder = await mkdtemp(join(tmpdir(), "irsa-shim-"));
      stack.defer(() => rm(folder, { recursive: true, force: true }));
      const key = newSigningKey("ES256");
      const api = stack.use(await startNodeApiServer({ issuer: "https://issuer.example", key }));
      const common = ["--app-port=0", "--admin-port=0", "--bind-address=127.0.0.1"];
      const argv = [...flags, ...common, `--api-server=${api.url}`, `--state-dir=${folder}`];
      const run = runShim(argv, { IRSA_PROFILE: profile });
      stack.defer(async () => {
        run.stop();
        await run.running;
      });
      await until("it listens", () => run.lines.some(({ msg }) => msg === "Listening"));
      const { port } = run.lines.find(({ msg }) => msg === "Listening") ?? {};
      const put = {
        host: "127.0.0.1",
        port: Number(port),
        method: "PUT",
        path: "/latest/api/token",
        headers: { host: "169.254.169.254", "x-aws-ec2-metadata-token-ttl-seconds": "60" },
      };
      assert.equal((await ask(put)).status, 200);
      run.stop();
      await run.running;
      await assert.rejects(ask(put), { code: "ECONNREFUSED" });
      const messages = run.lines.map(({ msg }) => msg);
      assert.ok(messages.indexOf("Stopping") < messages.indexOf("Draining"));
    });
  }

  it("gives flags behind a subcommand to that one", async () => {
    const run = runShim(["rules", "show", "--host-ip=10.0.0.5", "--app-port=9000"]);
    await run.running;
    assert.match(run.text(), /--to-destination 10\.0\.0\.5:9000/);
  });

  for (const argv of [["server"], ["server", "--bind=0.0.0.0:443", "--fetchers=8"]]) {
    it(`has no server, as kiam has, and says so: ${argv.join(" ")}`, async () => {
      await assert.rejects(runShim(argv).running, {
        code: "CONFIG_INVALID",
        message:
          "There is no server behind the agent any more: take it away, and give its flags to irsa shim (docs/migrate-kube2iam-kiam.md)",
      });
    });
  }

  it("has no other argument than kiam's agent", async () => {
    await assert.rejects(runShim(["agents"]).running, {
      code: "commander.invalidArgument",
      message: /Allowed choices are agent\./,
    });
  });

  for (const before of [["--iptables"], ["--json-log"], ["--no-iptables-remove", "--iptables"]]) {
    it(`takes kiam's agent behind ${before.join(" ")}`, async () => {
      // Read to the end, and refused for what comes last.
      const run = runShim([...before, "agent", "--app-port=x"]);
      await assert.rejects(run.running, { code: "CONFIG_INVALID", message: /--app-port "x"/ });
      const rules = runShim([...before, "rules", "show", "--host-ip=10.0.0.5"]);
      await rules.running;
      assert.match(rules.text(), /--to-destination 10\.0\.0\.5:8181/);
    });
  }

  it("tells its version, as kube2iam does", async () => {
    const run = runShim(["--version"]);
    await assert.rejects(run.running, { code: "commander.version", exitCode: 0 });
    assert.equal(run.text(), `${packageJson.version}\n`);
  });
});
