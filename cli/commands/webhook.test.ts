import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { describe, it } from "node:test";
import { Command } from "commander";
import { startListServer } from "../../test/fakes/list-server.ts";
import { until } from "../../test/fakes/until.ts";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { addWebhook } from "./webhook.ts";

describe("irsa webhook", () => {
  it("serves until it is told to stop, then stops listening", async () => {
    await using stack = new AsyncDisposableStack();
    const folder = await mkdtemp(join(tmpdir(), "irsa-webhook-"));
    stack.defer(() => rm(folder, { recursive: true }));
    const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
    const authority = await createAuthority("Test CA", validity);
    const { cert, key } = await issueServingCertificate(authority, ["127.0.0.1"], validity);
    await writeFile(join(folder, "tls.crt"), cert);
    await writeFile(join(folder, "tls.key"), key);
    const server = stack.use(await startListServer());

    const lines: Readonly<Record<string, unknown>>[] = [];
    const stdout = new Writable({
      write(chunk: Buffer, _encoding, done) {
        lines.push(JSON.parse(chunk.toString()));
        done();
      },
    });
    const stop = new AbortController();
    const irsa = new Command("irsa").exitOverride();
    addWebhook(irsa, {
      env: {
        IRSA_IN_CLUSTER: "false",
        IRSA_TLS_CERT: join(folder, "tls.crt"),
        IRSA_TLS_KEY: join(folder, "tls.key"),
        AWS_EC2_METADATA_DISABLED: "true",
      },
      stdin: Readable.from([]),
      stdout,
      stderr: stdout,
      signal: stop.signal,
    });
    const flags = ["--host=127.0.0.1", "--port=0", "--metrics-port=0", `--kube-api=${server.url}`];
    const running = irsa.parseAsync(["webhook", ...flags], { from: "user" });
    await until("it listens", () => lines.some(({ msg }) => msg === "Listening"));
    const { port } = lines.find(({ msg }) => msg === "Listening") ?? {};

    const get = async (): Promise<number> => {
      const options = { host: "127.0.0.1", port: Number(port), path: "/healthz", agent: false };
      const [response] = await once(request({ ...options, ca: authority.cert }).end(), "response");
      response.resume();
      return response.statusCode;
    };
    assert.equal(await get(), 200);
    stop.abort("SIGTERM");
    await running;
    assert.deepEqual(
      lines.slice(-2).map(({ msg }) => msg),
      ["Stopping", "Draining"],
    );
    await assert.rejects(get(), { code: "ECONNREFUSED" });
    await until("it no longer follows the API server", () => server.watches === 0);
  });
});
