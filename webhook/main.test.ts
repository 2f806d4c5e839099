import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { connect as connectTo } from "node:net";
import { networkInterfaces, tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, it } from "node:test";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { startListServer, type ListServer } from "../test/fakes/list-server.ts";
import { startObjectServer } from "../test/fakes/object-server.ts";
import { createMovedClock, type MovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import { createAuthority, issueServingCertificate, type Authority } from "../lib/certificates.ts";
import { listen } from "../lib/http.ts";
import type { KeyPair } from "../lib/server-certificate.ts";
import { CERTIFICATE_POLL_MS } from "./tls/serving-certificate.ts";
import { webhookConfig } from "./config.ts";
import { startWebhook, type RunningWebhook } from "./main.ts";

const ROLE = { "eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/s3-reader" };

interface Setting extends AsyncDisposable {
  readonly webhook: RunningWebhook;
  readonly server: ListServer;
  readonly clock: MovedClock;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  readonly authority: Authority;
  issue(): Promise<KeyPair>;
  writePair(pair: KeyPair): Promise<void>;
  get(path: string): Promise<readonly [number, string]>;
  review(serviceAccountName: string): Promise<{ readonly reason: string; readonly patch: string }>;
  /** Serial number of the certificate that a new connection sees. */
  serial(): Promise<string>;
}

interface Options {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly before?: (server: ListServer) => void;
}

async function setUp({ flags = [], env = {}, before }: Options = {}): Promise<Setting> {
  await using stack = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "irsa-webhook-"));
  stack.defer(() => rm(folder, { recursive: true }));
  const validity = { notBeforeMs: Date.now() - 60_000, notAfterMs: Date.now() + 3_600_000 };
  const authority = await createAuthority("Test CA", validity);
  const issue = (): Promise<KeyPair> => issueServingCertificate(authority, ["127.0.0.1"], validity);
  const [certFile, keyFile] = [join(folder, "tls.crt"), join(folder, "tls.key")];
  const writePair = async ({ cert, key }: KeyPair): Promise<void> => {
    await writeFile(certFile, cert);
    await writeFile(keyFile, key);
  };
  await writePair(await issue());

  const server = stack.use(await startListServer());
  server.putNamespace("team", {});
  before?.(server);
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const webhook = stack.use(
    await startWebhook(
      webhookConfig.parse(
        [
          "--host=127.0.0.1",
          "--port=0",
          "--metrics-port=0",
          "--drain-seconds=1",
          "--in-cluster=false",
          // It has tests of its own, and this server knows one collection only.
          "--audit=false",
          `--kube-api=${server.url}`,
          `--tls-cert=${certFile}`,
          `--tls-key=${keyFile}`,
          ...flags,
        ],
        {},
      ),
      { env: { AWS_EC2_METADATA_DISABLED: "true", ...env }, log, clock },
    ),
  );

  const ask = async (path: string, body = ""): Promise<readonly [number, string, string]> => {
    const req = httpsRequest({
      host: "127.0.0.1",
      port: webhook.port,
      ca: authority.cert,
      agent: false,
      path,
      method: body === "" ? "GET" : "POST",
      headers: { "content-type": "application/json" },
    });
    req.end(body);
    const [res] = await once(req, "response");
    const serial: string = res.socket.getPeerCertificate().serialNumber;
    return [res.statusCode, await text(res), serial];
  };
  const running = stack.move();
  return {
    webhook,
    server,
    clock,
    log: lines,
    authority,
    issue,
    writePair,
    async get(path) {
      const [status, body] = await ask(path);
      return [status, body];
    },
    async review(serviceAccountName) {
      const object = { spec: { serviceAccountName, containers: [{ name: "app" }] } };
      const request = { uid: "u", namespace: "team", object };
      const [, body] = await ask("/mutate", JSON.stringify({ request }));
      const { patch = "", auditAnnotations } = JSON.parse(body).response;
      return {
        reason: auditAnnotations.reason,
        patch: Buffer.from(patch, "base64").toString("utf8"),
      };
    },
    async serial() {
      const [, , serial] = await ask("/healthz");
      return serial;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

describe("startWebhook", () => {
  it("mutates from the cache once it is ready", async () => {
    await using t = await setUp({ before: (server) => server.put("team", "app", ROLE) });
    await t.webhook.whenReady;
    assert.deepEqual(await t.get("/readyz"), [200, "ok\n"]);
    const { reason, patch } = await t.review("app");
    assert.equal(reason, "injected");
    assert.match(patch, /s3-reader/);
    assert.ok(t.server.requests.every(({ kind }) => kind !== "get"));
  });

  it("is not ready before the cache is full, and answers right nevertheless", async () => {
    await using t = await setUp({
      before: (server) => {
        server.put("team", "app", ROLE);
        server.fail("list", { kind: "hang" });
      },
    });
    assert.deepEqual(await t.get("/readyz"), [503, "ServiceAccounts are not listed yet\n"]);
    assert.deepEqual(await t.get("/healthz"), [200, "ok\n"]);
    assert.equal((await t.review("app")).reason, "injected");
    assert.equal((await t.review("other")).reason, "service-account-not-found");
  });

  it("sees a ServiceAccount that is made just before its pod", async () => {
    await using t = await setUp();
    await t.webhook.whenReady;
    for (let i = 0; i < 50; i += 1) {
      t.server.put("team", `app-${i}`, ROLE);
      assert.equal((await t.review(`app-${i}`)).reason, "injected");
    }
  });

  it("sees an annotation that is made just before its pod", async () => {
    await using t = await setUp({
      before: (server) => {
        for (let i = 0; i < 50; i += 1) server.put("team", `app-${i}`, {});
      },
    });
    await t.webhook.whenReady;
    for (let i = 0; i < 50; i += 1) {
      t.server.put("team", `app-${i}`, ROLE);
      assert.equal((await t.review(`app-${i}`)).reason, "injected");
    }
  });

  it("swaps its certificate, and keeps the old one while the new one is bad", async () => {
    await using t = await setUp();
    const poll = async (): Promise<void> => {
      await until("somebody waits for the files", () =>
        t.clock.sleepers().includes(CERTIFICATE_POLL_MS),
      );
      t.clock.advance(CERTIFICATE_POLL_MS);
    };
    const first = await t.serial();
    const used = (): number =>
      t.log.filter(({ msg }) => msg === "Using serving certificate").length;
    const second = await t.issue();
    await t.writePair(second);
    await poll();
    await until("the second certificate is used", () => used() === 2);
    const secondSerial = await t.serial();
    assert.notEqual(secondSerial, first);

    const failures = (): number =>
      t.log.filter(({ msg }) => /keeping the old/.test(String(msg))).length;
    await t.writePair({ cert: (await t.issue()).cert, key: second.key });
    await poll();
    await until("the mismatch is told", () => failures() === 1);
    assert.equal(await t.serial(), secondSerial);
    await t.writePair({ cert: "not a certificate", key: second.key });
    await poll();
    await until("the bad file is told", () => failures() === 2);
    assert.equal(await t.serial(), secondSerial);

    await t.writePair(await t.issue());
    await poll();
    await until("the third certificate is used", () => used() === 3);
    assert.notEqual(await t.serial(), secondSerial);
  });

  it("serves its metrics, and nothing else, on the other port", async () => {
    await using t = await setUp({ before: (server) => server.put("team", "app", ROLE) });
    await t.webhook.whenReady;
    await t.review("app");
    await t.review("missing");
    t.clock.advance(3000);
    const base = `http://127.0.0.1:${t.webhook.metricsPort}`;
    const response = await fetch(`${base}/metrics`);
    assert.match(String(response.headers.get("content-type")), /^text\/plain; version=0.0.4/);
    const metrics = await response.text();
    for (const wanted of [
      /^irsa_webhook_reviews_total\{outcome="mutated",reason="injected"\} 1$/m,
      /^irsa_webhook_service_account_live_reads_total\{result="not-found"\} 1$/m,
      /^irsa_webhook_cached_service_accounts 1$/m,
      /^irsa_webhook_cache_stale_seconds 3$/m,
      /^irsa_webhook_certificate_expiry_timestamp_seconds 1\d{9}$/m,
    ]) {
      assert.match(metrics, wanted);
    }
    assert.equal((await fetch(`${base}/healthz`)).status, 404);
  });

  it("shows its copy for debugging when it is asked to, on loopback alone", async () => {
    await using t = await setUp({
      // All interfaces, as in a pod.
      flags: ["--enable-debugging-handlers", "--debug-port=0", "--host="],
      before: (server) => server.put("team", "app", ROLE),
    });
    await t.webhook.whenReady;
    const { debugPort = 0, metricsPort } = t.webhook;
    const url = `http://127.0.0.1:${debugPort}/debug/alpha/cache`;
    const { serviceAccounts } = JSON.parse(await (await fetch(url)).text());
    assert.deepEqual(serviceAccounts.objects, { "team/app": ROLE });
    // The last one is an address of this machine as well, whatever interfaces it has.
    for (const address of [...outerAddresses(), "127.0.0.2"]) {
      assert.equal(await isReached(address, metricsPort), true, address);
      assert.equal(await isReached(address, debugPort), false, address);
    }
  });

  it("shows nothing for debugging unless it is asked to", async () => {
    await using t = await setUp({ flags: ["--debug-port=0"] });
    assert.equal(t.webhook.debugPort, undefined);
    const base = `http://127.0.0.1:${t.webhook.metricsPort}`;
    assert.equal((await fetch(`${base}/debug/alpha/cache`)).status, 404);
    assert.deepEqual(await t.get("/debug/alpha/cache"), [404, "not found\n"]);
  });

  it("finishes an open review when it is stopped", async () => {
    await using t = await setUp({ flags: ["--service-account-lookup-grace-period=500ms"] });
    await t.webhook.whenReady;
    t.server.fail("get", { kind: "hang" });
    const open = t.review("late");
    await until("it is read live", () => t.server.requests.some(({ kind }) => kind === "get"));
    await t.webhook[Symbol.asyncDispose]();
    assert.equal((await open).reason, "service-account-unavailable");
    await assert.rejects(t.get("/healthz"), { code: "ECONNREFUSED" });
  });

  it("is unready for a while before it stops, and answers whoever still comes", async () => {
    await using t = await setUp({
      flags: ["--shutdown-delay-seconds=5"],
      before: (server) => server.put("team", "app", ROLE),
    });
    await t.webhook.whenReady;
    const before = t.clock.sleepers().length;
    const stopped = t.webhook[Symbol.asyncDispose]();
    await until("it waits", () => t.clock.sleepers().length > before);
    assert.deepEqual(await t.get("/readyz"), [503, "draining\n"]);
    assert.equal((await t.review("app")).reason, "injected");
    t.clock.advance(4999);
    assert.equal((await t.review("app")).reason, "injected");
    t.clock.advance(1);
    await stopped;
    await assert.rejects(t.get("/healthz"), { code: "ECONNREFUSED" });
  });

  it("becomes unready at once when it is stopped, however long the audit takes to end", async () => {
    await using kube = await startObjectServer();
    await using t = await setUp({ flags: ["--audit=true", `--kube-api=${kube.url}`] });
    const lines = (msg: string) => t.log.filter((line) => line["msg"] === msg);
    await until("it audits", () => lines("Auditing pods").length > 0);
    const answer = Promise.withResolvers<void>();
    kube.faultOf = ({ method, path }) =>
      method === "PUT" && path.includes("/leases/")
        ? { kind: "hold", until: answer.promise }
        : undefined;
    const stopped = t.webhook[Symbol.asyncDispose]();
    try {
      await until("the lease is given back", () =>
        kube.requests.some(({ method, path }) => method === "PUT" && path.includes("/leases/")),
      );
      assert.equal(lines("Draining").length, 1);
    } finally {
      answer.resolve();
      await stopped;
    }
    assert.equal(lines("Released the lease").length, 1);
  });

  it("composes role names in the account of the instance", async () => {
    const document = JSON.stringify({ accountId: "444455556666", region: "us-gov-west-1" });
    await using metadata = await listen((_req, res) => void res.end(document), {
      port: 0,
      host: "127.0.0.1",
      drainMs: 0,
    });
    await using t = await setUp({
      flags: ["--compose-role-arn"],
      env: {
        AWS_EC2_METADATA_DISABLED: "",
        AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${metadata.port}`,
      },
      before: (server) => server.put("team", "app", { "eks.amazonaws.com/role-arn": "reader" }),
    });
    assert.match((await t.review("app")).patch, /arn:aws-us-gov:iam::444455556666:role\/reader/);
  });

  it("does not start when the account cannot be learnt", async () => {
    await assert.rejects(setUp({ flags: ["--compose-role-arn"] }), {
      code: "METADATA_UNAVAILABLE",
    });
  });

  for (const [flag, code] of [
    ["--tls-cert=/nonexistent/tls.crt", "CERTIFICATE_INVALID"],
    ["--kubeconfig=/nonexistent/config", "CONFIG_INVALID"],
  ] as const) {
    it(`does not start with ${flag}`, () => assert.rejects(setUp({ flags: [flag] }), { code }));
  }

  it("warns of settings that it does not follow to the letter", async () => {
    await using t = await setUp({ flags: ["--token-expiration=60", "--logtostderr"] });
    const warnings = t.log.flatMap(({ warning }) => (warning === undefined ? [] : [warning]));
    assert.deepEqual(warnings, [
      "--token-expiration 60 raised to 600",
      "--logtostderr ignored: logs are JSON lines, see --log-level",
    ]);
  });
});

/** Addresses under which other machines may reach this one. */
function outerAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses = []) => addresses);
  // A link-local address means nothing without its interface.
  return all.flatMap(({ address, internal }) =>
    internal || address.startsWith("fe80:") ? [] : [address],
  );
}

async function isReached(host: string, port: number): Promise<boolean> {
  const socket = connectTo({ host, port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
