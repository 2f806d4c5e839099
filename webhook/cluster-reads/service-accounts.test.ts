import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { startListServer, type ListServer } from "../../test/fakes/list-server.ts";
import { until } from "../../test/fakes/until.ts";
import { connect } from "../../lib/kube/connection.ts";
import type { LiveReadResult } from "../../lib/kube/live-reads.ts";
import {
  serviceAccountKeeper,
  ServiceAccounts,
  type KnownServiceAccount,
} from "./service-accounts.ts";

const PREFIX = "eks.amazonaws.com";
const KEY = `${PREFIX}/role-arn`;
const ROLE = { [KEY]: "arn:aws:iam::111122223333:role/r" };
const keep = serviceAccountKeeper(PREFIX);

/** A cache that follows an API server only when it is told to. */
class Lagging extends Map<string, KnownServiceAccount> {
  following = true;
  follow(server: ListServer): void {
    this.clear();
    for (const [key, object] of server.objects)
      this.set(key, keep({ metadata: { ...object.metadata } }));
  }
}

interface Setting extends AsyncDisposable {
  readonly server: ListServer;
  readonly cache: Lagging;
  readonly accounts: ServiceAccounts;
  readonly liveReads: readonly LiveReadResult[];
  readonly clock: { ms: number };
  readonly log: readonly Readonly<Record<string, unknown>>[];
}

async function setUp({ lookupGraceMs = 1000 } = {}): Promise<Setting> {
  const server = await startListServer();
  const cache = new Lagging();
  const { log, lines } = createCollectedLog();
  const liveReads: LiveReadResult[] = [];
  const clock = { ms: 0 };
  const accounts = new ServiceAccounts({
    cache: {
      get: (namespace, name) => cache.get(`${namespace}/${name}`),
      get following() {
        return cache.following;
      },
    },
    clock: { now: () => clock.ms },
    connection: connect({ kubeApi: server.url }),
    annotationPrefix: PREFIX,
    lookupGraceMs,
    log,
    onLiveRead: (result) => liveReads.push(result),
  });
  return {
    server,
    cache,
    accounts,
    liveReads,
    clock,
    log: lines,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const withRole = { status: "found", annotations: ROLE };
const withoutRole = { status: "found", annotations: {} };

describe("serviceAccountKeeper", () => {
  it("keeps the version and the annotations under the prefix, nothing else", () => {
    const annotations = { ...ROLE, "eks.amazonaws.company/role-arn": "no", other: "no" };
    const object = { metadata: { name: "a", resourceVersion: "7", annotations, labels: {} } };
    assert.deepEqual(keep(object), { annotations: ROLE, version: 7 });
  });

  it("shares one empty object among those without any", () => {
    const object = { metadata: { name: "a", annotations: { other: "no" } } };
    assert.equal(keep(object).annotations, keep({ metadata: { name: "b" } }).annotations);
  });
});

describe("ServiceAccounts.stateOf", () => {
  it("asks nobody about one cached with a role", async () => {
    await using t = await setUp();
    t.server.put("team", "app", ROLE);
    t.cache.follow(t.server);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    assert.deepEqual(t.server.requests, []);
  });

  it("reads one live that is not in the cache, metadata only", async () => {
    await using t = await setUp();
    t.server.put("team", "app", ROLE);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    assert.deepEqual(t.liveReads, ["found"]);
    assert.match(t.server.requests[0]?.accept ?? "", /as=PartialObjectMetadata;v=v1;/);
  });

  it("asks twice at most for many that come at the same time", async () => {
    await using t = await setUp();
    t.server.put("team", "app", ROLE);
    const states = await Promise.all(
      Array.from({ length: 50 }, () => t.accounts.stateOf("team", "app")),
    );
    for (const state of states) assert.deepEqual(state, withRole);
    // The second is for those who came after the first had begun, and may know more than it saw.
    assert.equal(t.server.requests.length, 2);
  });

  it("tells that there is none, and asks again the next time", async () => {
    await using t = await setUp();
    const missing = { status: "service-account-not-found" };
    assert.deepEqual(await t.accounts.stateOf("team", "app"), missing);
    t.server.put("team", "app", ROLE);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    assert.deepEqual(t.liveReads, ["not-found", "found"]);
  });

  for (const [name, fault] of [
    ["answers 500", { kind: "status", status: 500 }],
    ["answers 403", { kind: "status", status: 403 }],
    ["answers something else", { kind: "garbage", text: "{}" }],
    ["closes the connection", { kind: "close" }],
    ["does not answer in time", { kind: "hang" }],
  ] as const) {
    it(`tells that it could not be read when the server ${name}, and asks again`, async () => {
      await using t = await setUp({ lookupGraceMs: 200 });
      t.server.put("team", "app", ROLE);
      t.server.fail("get", fault);
      const unavailable = { status: "service-account-unavailable" };
      assert.deepEqual(await t.accounts.stateOf("team", "app"), unavailable);
      assert.deepEqual(
        t.log.map(({ serviceAccount }) => serviceAccount),
        ["app"],
      );
      assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
      assert.deepEqual(t.liveReads, ["failed", "found"]);
    });
  }

  for (const [moment, ms, expected] of [
    ["trusts a reading without a role for a fiftieth of a second", 19, withoutRole],
    ["re-reads one cached without a role after that", 20, withRole],
  ] as const) {
    it(moment, async () => {
      await using t = await setUp();
      t.server.put("team", "app", {});
      t.cache.follow(t.server);
      assert.deepEqual(await t.accounts.stateOf("team", "app"), withoutRole);
      t.server.put("team", "app", ROLE);
      t.clock.ms += ms;
      assert.deepEqual(await t.accounts.stateOf("team", "app"), expected);
    });
  }

  it("trusts no reading while the watch is cut", async () => {
    await using t = await setUp();
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withoutRole);
    t.server.put("team", "app", ROLE);
    t.cache.following = false;
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
  });

  it("counts the age of a reading from when it began", async () => {
    await using t = await setUp();
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    const reading = t.accounts.stateOf("team", "app");
    t.clock.ms += 100;
    await reading;
    t.server.put("team", "app", ROLE);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
  });

  it("gives no pod a reading that began before it came", async () => {
    await using t = await setUp();
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    const before = t.accounts.stateOf("team", "app");
    await until("it is asked", () => t.server.requests.length === 1);
    t.server.put("team", "app", ROLE);
    const after = t.accounts.stateOf("team", "app");
    await before;
    assert.deepEqual(await after, withRole);
  });

  it("re-reads nothing more once the cache has caught up", async () => {
    await using t = await setUp();
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    t.server.put("team", "app", ROLE);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    t.cache.follow(t.server);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    assert.equal(t.server.requests.length, 1);
  });

  it("follows the cache when it is newer than the live reading", async () => {
    await using t = await setUp();
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    t.server.put("team", "app", ROLE);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withoutRole);
  });

  it("does not know one that cannot be re-read, and re-reads for the next pod", async () => {
    await using t = await setUp();
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    t.server.put("team", "app", ROLE);
    t.server.fail("get", { kind: "status", status: 500 });
    assert.deepEqual(await t.accounts.stateOf("team", "app"), {
      status: "service-account-unavailable",
    });
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withRole);
    assert.deepEqual(t.liveReads, ["failed", "found"]);
  });

  it("follows the cache when that learns of the role while re-reading fails", async () => {
    await using t = await setUp({ lookupGraceMs: 200 });
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    t.server.fail("get", { kind: "hang" });
    const state = t.accounts.stateOf("team", "app");
    await until("it is asked", () => t.server.requests.length === 1);
    t.server.put("team", "app", ROLE);
    t.cache.follow(t.server);
    assert.deepEqual(await state, withRole);
  });

  it("reads nothing live with a grace period of 0", async () => {
    await using t = await setUp({ lookupGraceMs: 0 });
    t.server.put("team", "app", {});
    t.cache.follow(t.server);
    t.server.put("team", "late", ROLE);
    assert.deepEqual(await t.accounts.stateOf("team", "app"), withoutRole);
    // The cache may be behind, so nobody can say that it does not exist.
    const unread = { status: "service-account-unavailable" };
    assert.deepEqual(await t.accounts.stateOf("team", "late"), unread);
    assert.deepEqual(t.server.requests, []);
  });

  for (const [namespace, name] of [
    ["team", "../../secrets/x"],
    ["..", "app"],
    ["", "app"],
    ["team", "a?b"],
    ["team", "a".repeat(254)],
  ] as const) {
    it(`does not ask for ${namespace}/${name.slice(0, 20)}, which names nothing`, async () => {
      await using t = await setUp();
      const missing = { status: "service-account-not-found" };
      assert.deepEqual(await t.accounts.stateOf(namespace, name), missing);
      assert.deepEqual(t.server.requests, []);
    });
  }
});
