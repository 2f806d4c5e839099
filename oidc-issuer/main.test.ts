import assert from "node:assert/strict";
import { request as plainRequest } from "node:http";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  createFakeCluster,
  endpointSlicesAnswer,
  jwksAnswer,
  servedKey,
} from "../test/fakes/key-api-server.ts";
import {
  askServers,
  get,
  getOperations,
  HOUR_MS,
  keys,
  messages,
  metric,
  MINUTE_MS,
  pollAgain,
  send,
  servedKids,
  startMovedIssuer,
  temporaryFolder,
} from "../test/fakes/running-issuer.ts";
import { until } from "../test/fakes/until.ts";

const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const cluster = resources.use(await createFakeCluster());

const CONFLICT = "Sources serve different keys under one kid; the published one stays";

describe("startIssuer with two API servers that have different keys", () => {
  it("publishes both, keeps both when one stops, and when both have stopped and it restarts", async (t) => {
    const state = join(await temporaryFolder(cluster, t), "state.json");
    const [one, two] = [await cluster.startServer(), await cluster.startServer()];
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    const flags = [...(await askServers(cluster, one, two)), "--state-file", state];
    {
      await using running = await startMovedIssuer(...flags);
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
    await using again = await startMovedIssuer(...flags);
    assert.deepEqual(await servedKids(again.issuer), ["a", "b"]);
    await pollAgain(again);
    assert.deepEqual(await servedKids(again.issuer), ["a", "b"]);
    assert.equal((await getOperations(again.issuer, "/readyz")).status, 200);
  });

  it("is not ready, and says 503, until a source has answered", async () => {
    await using server = await cluster.startServer();
    server.jwks = { kind: "status", status: 401 };
    await using running = await startMovedIssuer(...(await askServers(cluster, server)));
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
    const state = join(await temporaryFolder(cluster, t), "state.json");
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    const flags = [...(await askServers(cluster, one, two)), "--state-file", state];
    {
      await using first = await startMovedIssuer(...flags);
      await first.issuer.whenReady();
    }
    one.jwks = { kind: "hang" };
    two.jwks = jwksAnswer(keys.b, keys.c);
    await using running = await startMovedIssuer(...flags);
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
      await using running = await startMovedIssuer(...(await askServers(cluster, one, two)));
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
    await using running = await startMovedIssuer(...(await askServers(cluster, one, two)));
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
    await using running = await startMovedIssuer(...(await askServers(cluster, server)));
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

describe("API servers found by EndpointSlices", () => {
  it("follows them as they come and go, and loses no key", async () => {
    await using one = await cluster.startServer();
    await using two = await cluster.startServer();
    one.jwks = jwksAnswer(keys.a);
    two.jwks = jwksAnswer(keys.b);
    one.endpointSlices = endpointSlicesAnswer(one.port);
    const kubeconfig = await cluster.kubeconfigFor(one);
    await using running = await startMovedIssuer(
      "--discover-api-servers",
      "--kubeconfig",
      kubeconfig,
    );
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

describe("startIssuer", () => {
  it("says once that it serves plain HTTP", async () => {
    await using running = await startMovedIssuer("--key-file", "none.pem");
    const told = messages(running.lines).filter((msg) => /plain HTTP/.test(String(msg)));
    assert.equal(told.length, 1);
  });

  it("refuses headers of more than 8 KiB on the public port", async () => {
    await using running = await startMovedIssuer("--key-file", "none.pem");
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
    await using running = await startMovedIssuer("--key-file", "none.pem");
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
    await using running = await startMovedIssuer(...(await askServers(cluster, server)));
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
