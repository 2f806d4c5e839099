import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { startListServer, type ListServer } from "../../test/fakes/list-server.ts";
import { listen } from "../../lib/http.ts";
import { connect } from "../../lib/kube/connection.ts";
import type { LiveReadResult } from "../../lib/kube/live-reads.ts";
import { keepNamespace, Namespaces, type KnownNamespace } from "./namespaces.ts";

const ALLOWED = { "irsa-anywhere.io/allowed-roles": "[]" };

interface Setting extends AsyncDisposable {
  readonly server: ListServer;
  readonly cache: Map<string, KnownNamespace>;
  readonly namespaces: Namespaces;
  readonly liveReads: readonly LiveReadResult[];
  readonly log: readonly Readonly<Record<string, unknown>>[];
}

async function setUp({ lookupGraceMs = 1000, url = "" } = {}): Promise<Setting> {
  const server = await startListServer();
  const cache = new Map<string, KnownNamespace>();
  const { log, lines } = createCollectedLog();
  const liveReads: LiveReadResult[] = [];
  const namespaces = new Namespaces({
    cache: { get: (_cluster, name) => cache.get(name) },
    connection: connect({ kubeApi: url || server.url }),
    lookupGraceMs,
    log,
    onLiveRead: (result) => liveReads.push(result),
  });
  return {
    server,
    cache,
    namespaces,
    liveReads,
    log: lines,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

describe("keepNamespace", () => {
  it("keeps the policy, nothing else", () => {
    const annotations = { ...ALLOWED, "irsa-anywhere.company/allowed-roles": "no", other: "no" };
    const object = { metadata: { name: "a", annotations, labels: {} } };
    assert.deepEqual(keepNamespace(object), { allowedRoles: [] });
  });

  it("shares one empty policy among those without any", () => {
    const object = { metadata: { name: "a", annotations: { other: "no" } } };
    assert.equal(keepNamespace(object), keepNamespace({ metadata: { name: "b" } }));
  });
});

describe("Namespaces.policyOf", () => {
  it("asks nobody about one in the cache", async () => {
    await using t = await setUp();
    t.cache.set("team", { allowedRoles: [] });
    assert.deepEqual(await t.namespaces.policyOf("team"), { allowedRoles: [] });
    assert.deepEqual(t.liveReads, []);
  });

  it("reads one live that is not in the cache", async () => {
    await using t = await setUp();
    t.server.putNamespace("team", ALLOWED);
    assert.deepEqual(await t.namespaces.policyOf("team"), { allowedRoles: [] });
    assert.deepEqual(t.liveReads, ["found"]);
  });

  it("knows nothing of one that there is not, and asks again the next time", async () => {
    await using t = await setUp();
    assert.equal(await t.namespaces.policyOf("team"), undefined);
    t.server.putNamespace("team", {});
    assert.deepEqual(await t.namespaces.policyOf("team"), {});
    assert.deepEqual(t.liveReads, ["not-found", "found"]);
  });

  it("knows nothing when the API server fails, and says so", async () => {
    await using failing = await listen((_req, res) => void res.writeHead(500).end("{}"), {
      port: 0,
      host: "127.0.0.1",
      drainMs: 0,
    });
    await using t = await setUp({ url: `http://127.0.0.1:${failing.port}` });
    assert.equal(await t.namespaces.policyOf("team"), undefined);
    assert.deepEqual(t.liveReads, ["failed"]);
    assert.deepEqual(
      t.log.map(({ msg, namespace }) => [msg, namespace]),
      [["Cannot read a namespace: its pods get no identity", "team"]],
    );
  });

  it("asks nobody when it is never to read live", async () => {
    await using t = await setUp({ lookupGraceMs: 0 });
    t.server.putNamespace("team", {});
    assert.equal(await t.namespaces.policyOf("team"), undefined);
    assert.deepEqual(t.liveReads, []);
  });

  it("asks for nothing that no namespace can be called", async () => {
    await using t = await setUp({ url: "http://127.0.0.1:1" });
    assert.equal(await t.namespaces.policyOf("../pods"), undefined);
    assert.deepEqual(t.liveReads, ["not-found"]);
  });
});
