import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { request as plainRequest } from "node:http";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { connect as connectTls } from "node:tls";
import { X509Certificate } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createAuthority, issueServingCertificate } from "../lib/certificates.ts";
import type { KeyPair } from "../lib/server-certificate.ts";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import {
  createFakeCluster,
  endpointSlicesAnswer,
  jwksAnswer,
  servedKey,
  type FakeCluster,
  type KeyApiServer,
} from "../test/fakes/key-api-server.ts";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import { issuerConfig } from "./config.ts";
import { publishOnce, startIssuer, type RunningIssuer } from "./main.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const keys = { a: servedKey("a"), b: servedKey("b"), c: servedKey("c") };

let cluster: FakeCluster;
before(async () => {
  cluster = await createFakeCluster();
});
after(() => cluster[Symbol.asyncDispose]());

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(cluster.folder, "test-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

const configOf = (...flags: readonly string[]) =>
  issuerConfig.parse(
    [
      "--issuer=https://oidc.example.com/prod",
      "--host=127.0.0.1",
      "--port=0",
      "--metrics-port=0",
      "--drain-seconds=0",
      ...flags,
    ],
    {},
  );

/** Flags that ask these servers as their own cluster's API servers. */
async function askServers(...servers: readonly KeyApiServer[]): Promise<readonly string[]> {
  const [first] = servers;
  assert.ok(first);
  return [
    `--kubeconfig=${await cluster.kubeconfigFor(first)}`,
    "--api-server-name=kubernetes.default.svc",
    ...servers.map(({ url }) => `--api-server=${url}`),
  ];
}

async function start(...flags: readonly string[]) {
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const issuer = await startIssuer(configOf(...flags), { log, clock });
  return {
    issuer,
    clock,
    lines,
    loops: loopsOf(flags),
    [Symbol.asyncDispose]: () => issuer[Symbol.asyncDispose](),
  };
}

/** How many loops of the poller run: each directory has one, and each source. */
function loopsOf(flags: readonly string[]): number {
  const count = (name: string) => flags.filter((flag) => flag.startsWith(`--${name}`)).length;
  return 2 + count("api-server=") + 2 * count("discover-api-servers");
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function get({ port }: RunningIssuer, path: string): Promise<Answer> {
  assert.ok(port);
  const headers = { host: "oidc.example.com", connection: "close" };
  return send(plainRequest({ host: "127.0.0.1", port, path, headers }));
}

async function getOperations({ metricsPort }: RunningIssuer, path: string): Promise<Answer> {
  const headers = { connection: "close" };
  return send(plainRequest({ host: "127.0.0.1", port: metricsPort, path, headers }));
}

async function send(sent: ReturnType<typeof plainRequest>): Promise<Answer> {
  sent.end();
  const [response] = await once(sent, "response");
  let body = "";
  for await (const chunk of response) body += chunk;
  return { status: response.statusCode, body };
}

async function servedKids(issuer: RunningIssuer): Promise<readonly string[]> {
  const { status, body } = await get(issuer, "/prod/openid/v1/jwks");
  assert.equal(status, 200);
  return kidsOf(body);
}

function kidsOf(jwks: string): readonly string[] {
  return (JSON.parse(jwks) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
}

async function metric(issuer: RunningIssuer, sample: string): Promise<number | undefined> {
  const { body } = await getOperations(issuer, "/metrics");
  const line = body.split("\n").find((text) => text.startsWith(`${sample} `));
  return line === undefined ? undefined : Number(line.slice(sample.length + 1));
}

const messages = (lines: readonly Readonly<Record<string, unknown>>[]) =>
  lines.map(({ msg }) => msg);

const CONFLICT = "Sources serve different keys under one kid; the published one stays";

/** Lets the sources be asked once more, and waits until they have been. */
async function pollAgain(
  { clock, loops }: { clock: ReturnType<typeof createMovedClock>; loops: number },
  ms = MINUTE_MS,
): Promise<void> {
  const isAsleep = () => clock.sleepers().length >= loops;
  await until("every loop sleeps", isAsleep);
  clock.advance(ms);
  await until("every loop sleeps again", isAsleep);
}

describe("startIssuer with two API servers that have different keys", () => {
  it("publishes both, keeps both when one stops, and when both have stopped and it restarts", async (t) => {
    const state = join(await temporaryFolder(t), "state.json");
    const [one, two] = [await cluster.startServer(), await cluster.startServer()];
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    const flags = [...(await askServers(one, two)), "--state-file", state];
    {
      await using running = await start(...flags);
      await running.issuer.whenReady();
      assert.deepEqual(await servedKids(running.issuer), ["a", "b"]);

      await two[Symbol.asyncDispose]();
      await pollAgain(running);
      assert.deepEqual(await servedKids(running.issuer), ["a", "b"]);
      const instance = `instance="${two.url}"`;
      const failures = `oidc_upstream_errors_total{${instance},reason="unreachable"}`;
      assert.equal(await metric(running.issuer, failures), 1);
    }
    await one[Symbol.asyncDispose]();
    await using again = await start(...flags);
    assert.deepEqual(await servedKids(again.issuer), ["a", "b"]);
    await pollAgain(again);
    assert.deepEqual(await servedKids(again.issuer), ["a", "b"]);
    assert.equal((await getOperations(again.issuer, "/readyz")).status, 200);
  });

  it("is not ready, and says 503, until a source has answered", async () => {
    await using server = await cluster.startServer();
    server.jwks = { kind: "status", status: 401 };
    await using running = await start(...(await askServers(server)));
    const { issuer, lines } = running;
    await pollAgain(running);
    assert.equal((await get(issuer, "/prod/openid/v1/jwks")).status, 503);
    const { status, body } = await getOperations(issuer, "/readyz");
    assert.deepEqual([status, body], [503, "no key is known yet\n"]);
    assert.equal((await getOperations(issuer, "/healthz")).status, 200);

    server.jwks = jwksAnswer(keys.a);
    await pollAgain(running);
    await issuer.whenReady();
    assert.deepEqual(await servedKids(issuer), ["a"]);
    assert.equal((await getOperations(issuer, "/readyz")).status, 200);
    // Polled three times, told once, and again when it was over.
    assert.deepEqual(
      lines.flatMap(({ msg, reason }) =>
        msg === "Got no keys; the last good ones stay" ? [reason] : [],
      ),
      ["refused"],
    );
    assert.ok(messages(lines).includes("Source answers again"));
  });

  it("takes a new key of one server while another hangs, and stops in spite of it", async (t) => {
    const state = join(await temporaryFolder(t), "state.json");
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    const flags = [...(await askServers(one, two)), "--state-file", state];
    {
      await using first = await start(...flags);
      await first.issuer.whenReady();
    }
    one.jwks = { kind: "hang" };
    two.jwks = jwksAnswer(keys.b, keys.c);
    await using running = await start(...flags);
    const { requests } = one;
    const asked = requests.length;
    await until("the new key has come", () => messages(running.lines).includes("Added keys"));
    await until("the other was asked", () => requests.length > asked);
    assert.deepEqual(await servedKids(running.issuer), ["a", "b", "c"]);
  });

  for (const [name, bad] of [
    ["garbage", { kind: "text", text: "<html>", type: "application/json" }],
    ["no key", jwksAnswer()],
    ["401", { kind: "status", status: 401 }],
    ["a closed connection", { kind: "close" }],
  ] as const) {
    it(`keeps the last good keys when both answer with ${name}`, async () => {
      await using one = await cluster.startServer();
      await using two = await cluster.startServer();
      one.jwks = jwksAnswer(keys.a);
      two.jwks = jwksAnswer(keys.b);
      await using running = await start(...(await askServers(one, two)));
      await running.issuer.whenReady();
      one.jwks = bad;
      two.jwks = bad;
      await pollAgain(running);
      await pollAgain(running, 100 * HOUR_MS);
      assert.deepEqual(await servedKids(running.issuer), ["a", "b"]);
    });
  }

  it("keeps the published key when one serves another under its kid, and reports it", async () => {
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.a);
    await using running = await start(...(await askServers(one, two)));
    const { issuer, lines } = running;
    await issuer.whenReady();
    const { body: published } = await get(issuer, "/prod/openid/v1/jwks");
    two.jwks = jwksAnswer(servedKey("a"));
    await pollAgain(running);
    await pollAgain(running);
    assert.equal((await get(issuer, "/prod/openid/v1/jwks")).body, published);
    assert.equal(await metric(issuer, "oidc_jwks_conflicting_keys"), 1);
    const told = lines.filter(({ msg }) => msg === CONFLICT);
    assert.deepEqual(
      told.map(({ level, kids }) => [level, kids]),
      [[50, ["a"]]],
    );
  });

  it("leaves out keys that STS cannot use, with a warning and a metric", async () => {
    await using server = await cluster.startServer();
    const alien = { kty: "OKP", crv: "Ed25519", kid: "ed", x: "AA", use: "sig", alg: "EdDSA" };
    server.jwks = jwksAnswer(keys.a, alien);
    await using running = await start(...(await askServers(server)));
    await running.issuer.whenReady();
    assert.deepEqual(await servedKids(running.issuer), ["a"]);
    const sample = 'oidc_jwks_filtered_keys{reason="unsupported_kty"}';
    assert.equal(await metric(running.issuer, sample), 1);
    await pollAgain(running);
    const told = running.lines.filter(({ msg }) => msg === "Left out keys that STS cannot use");
    assert.equal(told.length, 1);
    server.jwks = jwksAnswer(keys.a);
    await pollAgain(running);
    assert.equal(await metric(running.issuer, sample), undefined);
  });
});

describe("retirement", () => {
  it("removes a key after 26 hours of absence, also over a restart", async (t) => {
    const state = join(await temporaryFolder(t), "state.json");
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, keys.b);
    const flags = [...(await askServers(server)), "--state-file", state];
    const clock = createMovedClock();
    const { log, lines } = createCollectedLog();
    const run = async (hours: number, body: (issuer: RunningIssuer) => Promise<void>) => {
      await using issuer = await startIssuer(configOf(...flags), { log, clock });
      await issuer.whenReady();
      for (let hour = 0; hour < hours; hour++)
        await pollAgain({ clock, loops: loopsOf(flags) }, HOUR_MS);
      await body(issuer);
    };
    await run(1, async (issuer) => assert.deepEqual(await servedKids(issuer), ["a", "b"]));
    server.jwks = jwksAnswer(keys.b);
    await run(13, async (issuer) => assert.deepEqual(await servedKids(issuer), ["a", "b"]));
    await run(12, async (issuer) => assert.deepEqual(await servedKids(issuer), ["a", "b"]));
    await run(1, async (issuer) => assert.deepEqual(await servedKids(issuer), ["b"]));
    const retired = lines.filter(({ msg }) => msg === "Retired a key");
    assert.deepEqual(
      retired.map(({ kid, why }) => [kid, why]),
      [["a", "absent everywhere"]],
    );
  });

  it("removes a key at once that the operator names, although it is still served", async () => {
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, keys.b);
    const flags = [...(await askServers(server)), "--retire-kid", "a"];
    await using running = await start(...flags);
    await running.issuer.whenReady();
    assert.deepEqual(await servedKids(running.issuer), ["b"]);
  });
});

describe("API servers found by EndpointSlices", () => {
  it("follows them as they come and go, and loses no key", async () => {
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    one.endpointSlices = endpointSlicesAnswer(one.port);
    const kubeconfig = await cluster.kubeconfigFor(one);
    await using running = await start("--discover-api-servers", "--kubeconfig", kubeconfig);
    const { issuer } = running;
    await issuer.whenReady();
    assert.deepEqual(await servedKids(issuer), ["a"]);

    one.endpointSlices = endpointSlicesAnswer(one.port, two.port);
    await pollAgain(running);
    await pollAgain({ ...running, loops: running.loops + 1 });
    assert.deepEqual(await servedKids(issuer), ["a", "b"]);

    one.endpointSlices = endpointSlicesAnswer(one.port);
    running.clock.advance(MINUTE_MS);
    const sample = `oidc_upstream_last_success_timestamp_seconds{instance="${two.url}"}`;
    await until("the other is gone", () =>
      messages(running.lines).includes("Source is gone; its keys stay"),
    );
    assert.equal(await metric(issuer, sample), undefined);
    assert.deepEqual(await servedKids(issuer), ["a", "b"]);
  });
});

describe("the stored state", () => {
  it("does not stop the issuer when it is corrupt", async (t) => {
    const folder = await temporaryFolder(t);
    const state = join(folder, "state.json");
    await writeFile(state, '{"version":1,"keys":[');
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    {
      await using running = await start(...(await askServers(server)), "--state-file", state);
      await running.issuer.whenReady();
      assert.deepEqual(await servedKids(running.issuer), ["a"]);
      assert.ok(messages(running.lines).includes("Put the unusable state file aside"));
    }
    assert.equal((await readdir(folder)).length, 2);
    assert.match(await readFile(state, "utf8"), /"kid": "a"/);
  });

  it("is shared by replicas through a ConfigMap", async () => {
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    const kubeconfig = ["--kubeconfig", await cluster.kubeconfigFor(one)];
    const state = ["--state-configmap", "irsa-system/keys"];
    const name = ["--api-server-name", "kubernetes.default.svc"];
    {
      await using first = await start(...kubeconfig, ...state, ...name, "--api-server", one.url);
      await using second = await start(...kubeconfig, ...state, ...name, "--api-server", two.url);
      for (const { lines } of [first, second]) {
        await until("its key has come", () => messages(lines).includes("Added keys"));
      }
    }
    one.jwks = { kind: "close" };
    await using third = await start(...kubeconfig, ...state, ...name, "--api-server", one.url);
    assert.deepEqual(await servedKids(third.issuer), ["a", "b"]);
  });

  it("is not needed: without it the issuer serves and says so", async () => {
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    server.configMapFaults.push(
      ...Array.from({ length: 20 }, () => ({ kind: "status", status: 403 }) as const),
    );
    const flags = [...(await askServers(server)), "--state-configmap", "irsa-system/keys"];
    await using running = await start(...flags);
    await running.issuer.whenReady();
    await pollAgain(running);
    assert.deepEqual(await servedKids(running.issuer), ["a"]);
    const told = messages(running.lines);
    assert.ok(told.includes("Could not read the last good keys"));
    assert.equal(told.filter((msg) => msg === "Could not save the keys").length, 1);
    const failures = (await metric(
      running.issuer,
      'oidc_state_errors_total{operation="save"}',
    )) as number;
    assert.ok(failures >= 2);
  });
});

describe("publishing to a directory", () => {
  it("keeps it up to date while serving is off", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const flags = [...(await askServers(server)), "--publish-dir", dir, "--serve=false"];
    await using running = await start(...flags);
    const { issuer, lines } = running;
    assert.equal(issuer.port, undefined);
    const published = () => messages(lines).filter((msg) => msg === "Published").length;
    await until("it is published", () => published() === 1);
    server.jwks = jwksAnswer(keys.a, keys.b);
    await pollAgain(running);
    await until("it is published again", () => published() === 2);
    const jwks = await readFile(join(dir, "openid/v1/jwks"), "utf8");
    assert.deepEqual(kidsOf(jwks), ["a", "b"]);
    const sample = "oidc_publish_last_success_timestamp_seconds";
    assert.equal(await metric(issuer, sample), running.clock.now() / 1000);
  });

  it("serves on while the directory cannot be written, and goes on when it can", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const flags = [...(await askServers(server)), "--publish-dir", dir];
    await using running = await start(...flags);
    const { issuer, lines } = running;
    await until("it is published", () => messages(lines).includes("Published"));
    // A file where a folder is needed stops everybody.
    await rm(join(dir, "openid"), { recursive: true });
    await writeFile(join(dir, "openid"), "");
    server.jwks = jwksAnswer(keys.a, keys.b);
    await pollAgain(running);
    await until("it has failed", () => messages(lines).includes("Could not publish"));
    assert.deepEqual(await servedKids(issuer), ["a", "b"]);
    assert.ok(((await metric(issuer, "oidc_publish_errors_total")) ?? 0) > 0);

    await rm(join(dir, "openid"));
    await pollAgain(running);
    const published = () => messages(lines).filter((msg) => msg === "Published").length;
    await until("it is published again", () => published() === 2);
    assert.deepEqual(kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8")), ["a", "b"]);
  });

  it("starts with the keys that are published already", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const flags = [...(await askServers(server)), "--publish-dir", dir];
    await publishOnce(configOf(...flags, "--once"), { log: createCollectedLog().log });
    server.jwks = { kind: "close" };
    await using running = await start(...flags);
    assert.deepEqual(await servedKids(running.issuer), ["a"]);
  });
});

async function publish(server: KeyApiServer, dir: string, ...more: readonly string[]) {
  const flags = [...(await askServers(server)), "--publish-dir", dir, "--once", ...more];
  const { log, lines } = createCollectedLog();
  await publishOnce(configOf(...flags), { log });
  assert.ok(messages(lines).includes("Published once"));
  return kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8"));
}

describe("publishOnce", () => {
  it("adds keys to what is there and never takes one away by itself", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    assert.deepEqual(await publish(server, dir), ["a"]);
    server.jwks = jwksAnswer(keys.b);
    assert.deepEqual(await publish(server, dir), ["a", "b"]);
    assert.deepEqual(await publish(server, dir, "--retire-kid", "a"), ["b"]);
  });

  it("retires a key that is absent for 26 hours of hourly runs with a state", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, keys.b);
    const state = ["--state-file", join(dir, "state.json")];
    const flags = [...(await askServers(server)), "--publish-dir", join(dir, "site"), ...state];
    const clock = createMovedClock();
    const publishHourly = async (hours: number): Promise<readonly string[]> => {
      for (let hour = 0; hour < hours; hour++) {
        clock.advance(HOUR_MS);
        const { log } = createCollectedLog();
        await publishOnce(configOf(...flags, "--once"), { log, clock });
      }
      return kidsOf(await readFile(join(dir, "site/openid/v1/jwks"), "utf8"));
    };
    assert.deepEqual(await publishHourly(1), ["a", "b"]);
    server.jwks = jwksAnswer(keys.b);
    assert.deepEqual(await publishHourly(26), ["a", "b"]);
    assert.deepEqual(await publishHourly(1), ["b"]);
  });

  it("fails with the reason when no source answers, and leaves the directory as it is", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = { kind: "status", status: 401 };
    const expected = {
      code: "PUBLISH_REFUSED",
      message: /no source gives a key: https:\/\/127\.0\.0\.1:\d+: .* got 401/,
    };
    await assert.rejects(publish(server, dir), expected);
    assert.deepEqual(await readdir(dir), []);
    server.jwks = jwksAnswer(keys.a);
    await publish(server, dir);
    server.jwks = { kind: "status", status: 401 };
    await assert.rejects(publish(server, dir), expected);
    assert.deepEqual(kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8")), ["a"]);
  });

  it("fails at a conflict, after publishing what is beyond doubt", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a, servedKey("a"), keys.b);
    await assert.rejects(publish(server, dir), {
      code: "KEY_CONFLICT",
      message: /different keys under a$/,
    });
    assert.deepEqual(kidsOf(await readFile(join(dir, "openid/v1/jwks"), "utf8")), ["b"]);
  });

  it("fails when the directory is another issuer's", async (t) => {
    const dir = await temporaryFolder(t);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    await publish(server, dir);
    const other = publish(server, dir, "--issuer", "https://oidc.example.com/other");
    await assert.rejects(other, { code: "PUBLISH_REFUSED" });
  });
});

describe("serving over TLS", () => {
  const validity = { notBeforeMs: Date.now() - HOUR_MS, notAfterMs: Date.now() + HOUR_MS };
  const PEM = { cert: "tls.crt", key: "tls.key" };

  async function write(folder: string, pair: KeyPair): Promise<void> {
    await writeFile(join(folder, PEM.cert), pair.cert);
    await writeFile(join(folder, PEM.key), pair.key);
  }

  it("exchanges the certificate while serving, and keeps it when the new one is unreadable", async (t) => {
    const folder = await temporaryFolder(t);
    const authority = await createAuthority("public authority", validity);
    const make = () => issueServingCertificate(authority, ["oidc.example.com"], validity);
    const [first, second] = [await make(), await make()];
    await write(folder, first);
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    const tls = ["--tls-cert", join(folder, PEM.cert), "--tls-key", join(folder, PEM.key)];
    await using running = await start(...(await askServers(server)), ...tls);
    const { issuer, clock, lines } = running;
    await issuer.whenReady();

    const sent = request({
      host: "127.0.0.1",
      port: issuer.port,
      path: "/prod/openid/v1/jwks",
      servername: "oidc.example.com",
      headers: { host: "oidc.example.com", connection: "close" },
      ca: authority.cert,
    });
    const { status, body } = await send(sent);
    assert.deepEqual([status, kidsOf(body)], [200, ["a"]]);
    const sample = "oidc_serving_cert_not_after_timestamp_seconds";
    const expiresMs = new X509Certificate(first.cert).validToDate.getTime();
    assert.equal(await metric(issuer, sample), expiresMs / 1000);

    for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
      const peer = await handshake(issuer, { ca: authority.cert, maxVersion });
      assert.deepEqual([peer.serial, peer.protocol], [serialOf(first), maxVersion]);
    }

    await writeFile(join(folder, PEM.cert), first.cert.slice(0, 100));
    clock.advance(10_000);
    const KEPT = "Could not read the new certificate; the old one stays";
    await until("the bad one is noticed", () => messages(lines).includes(KEPT));
    assert.equal((await handshake(issuer, { ca: authority.cert })).serial, serialOf(first));

    await write(folder, second);
    await until("the watch sleeps again", () => clock.sleepers().length >= 4);
    clock.advance(10_000);
    await until("the new one is served", () =>
      messages(lines).includes("Serving a new certificate"),
    );
    assert.equal((await handshake(issuer, { ca: authority.cert })).serial, serialOf(second));
  });

  it("does not start with a certificate that it cannot use", async (t) => {
    const folder = await temporaryFolder(t);
    await write(folder, { cert: "nothing", key: "nothing" });
    const tls = ["--tls-cert", join(folder, PEM.cert), "--tls-key", join(folder, PEM.key)];
    await assert.rejects(start("--key-file", "none.pem", ...tls), { code: "CERTIFICATE_INVALID" });
  });
});

describe("startIssuer", () => {
  it("says once that it serves plain HTTP", async () => {
    await using running = await start("--key-file", "none.pem");
    const told = messages(running.lines).filter((msg) => /plain HTTP/.test(String(msg)));
    assert.equal(told.length, 1);
  });

  it("refuses headers of more than 8 KiB on the public port", async () => {
    await using running = await start("--key-file", "none.pem");
    const { port } = running.issuer;
    for (const [bytes, expected] of [
      [7 * 1024, 503],
      [9 * 1024, 431],
    ] as const) {
      const headers = {
        host: "oidc.example.com",
        connection: "close",
        "x-long": "x".repeat(bytes),
      };
      const path = "/prod/openid/v1/jwks";
      const { status } = await send(plainRequest({ host: "127.0.0.1", port, path, headers }));
      assert.equal(status, expected);
    }
  });

  it("lets nobody wait for ever", async () => {
    await using running = await start("--key-file", "none.pem");
    const signal = AbortSignal.abort(new Error("enough"));
    await assert.rejects(running.issuer.whenReady(signal), /enough/);
    const later = new AbortController();
    const waiting = running.issuer.whenReady(later.signal);
    later.abort(new Error("enough now"));
    await assert.rejects(waiting, /enough now/);
  });

  it("measures how old its knowledge is", async () => {
    await using server = await cluster.startServer();
    server.jwks = jwksAnswer(keys.a);
    await using running = await start(...(await askServers(server)));
    const { issuer, clock } = running;
    assert.equal(await metric(issuer, "oidc_serving_cert_not_after_timestamp_seconds"), undefined);
    await issuer.whenReady();
    server.jwks = { kind: "close" };
    await pollAgain(running, MINUTE_MS);
    clock.advance(2 * HOUR_MS);
    const staleness = await metric(issuer, "oidc_staleness_seconds");
    assert.equal(staleness, (MINUTE_MS + 2 * HOUR_MS) / 1000);
  });
});

async function handshake(
  { port }: RunningIssuer,
  options: { ca: string; maxVersion?: "TLSv1.2" | "TLSv1.3" },
): Promise<{ serial: string | undefined; protocol: string | null }> {
  assert.ok(port);
  const servername = "oidc.example.com";
  const socket = connectTls({ host: "127.0.0.1", port, servername, ...options });
  await once(socket, "secureConnect");
  const peer = {
    serial: socket.getPeerX509Certificate()?.serialNumber,
    protocol: socket.getProtocol(),
  };
  socket.destroy();
  return peer;
}

function serialOf({ cert }: KeyPair): string {
  return new X509Certificate(cert).serialNumber;
}
