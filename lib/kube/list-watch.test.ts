import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createMovedClock, type MovedClock } from "../../test/fakes/moved-clock.ts";
import { startListServer, type ListServer } from "../../test/fakes/list-server.ts";
import { until } from "../../test/fakes/until.ts";
import { connect } from "./connection.ts";
import { startListWatch, type ListWatch, type ListWatchEvent } from "./list-watch.ts";

const PATH = "/api/v1/serviceaccounts";

interface Following extends AsyncDisposable {
  readonly server: ListServer;
  readonly clock: MovedClock;
  readonly watch: ListWatch<string>;
  readonly events: readonly ListWatchEvent[];
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** Moves the clock to the end of the back-off that the last failure led to. */
  retry(): Promise<void>;
}

interface Settings {
  readonly before?: (server: ListServer) => void;
  readonly pageSize?: number;
  readonly metadataOnly?: boolean;
  readonly onEvent?: (event: ListWatchEvent) => void;
  readonly random?: () => number;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A list-watch of the annotation `role` on a fake server. */
async function follow(settings: Settings = {}): Promise<Following> {
  const server = await startListServer();
  settings.before?.(server);
  const clock = createMovedClock();
  const events: ListWatchEvent[] = [];
  const { log, lines } = createCollectedLog();
  const watch = startListWatch({
    connection: connect({ kubeApi: server.url }),
    path: PATH,
    metadataOnly: settings.metadataOnly ?? true,
    keep: ({ metadata }) => {
      if (metadata.annotations?.["role"] === "throws") throw new Error("no use");
      return metadata.annotations?.["role"];
    },
    clock,
    random: settings.random ?? (() => 0.5),
    log,
    pageSize: settings.pageSize ?? 500,
    timeoutMs: settings.timeoutMs ?? 5000,
    signal: settings.signal,
    onEvent: (event) => {
      events.push(event);
      settings.onEvent?.(event);
    },
  });
  return {
    server,
    clock,
    watch,
    events,
    log: lines,
    async retry() {
      const failure = events.findLast((event) => event.type === "failed");
      assert.ok(failure?.type === "failed");
      clock.advance(failure.retryMs);
    },
    async [Symbol.asyncDispose]() {
      await watch[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

function contentOf({ watch }: Following): Record<string, string> {
  return Object.fromEntries(
    [...watch.entries()].map(({ namespace, name, value }) => [`${namespace}/${name}`, value]),
  );
}

async function watching(following: Following): Promise<void> {
  await following.watch.whenSynced;
  await until("a watch is open", () => following.server.watches === 1);
}

function failed({ events }: Following, times: number): Promise<void> {
  const count = () => events.filter(({ type }) => type === "failed").length;
  return until(`there were ${times} failures`, () => count() >= times);
}

function kindsOf({ server }: Following): string {
  return server.requests.map(({ kind }) => kind).join(" ");
}

describe("startListWatch", () => {
  it("lists page by page and shows nothing before the list is whole", async () => {
    const sizes: number[] = [];
    await using following = await follow({
      pageSize: 3,
      before: (server) => {
        for (let i = 0; i < 7; i += 1) server.put("team", `app-${i}`, { role: `r${i}` });
        server.put("team", "no-role", {});
      },
      onEvent: ({ type }) => type === "listed" && sizes.push(following.watch.size),
    });
    const { watch, server } = following;
    assert.deepEqual([watch.synced, watch.size], [false, 0]);
    await watching(following);
    assert.deepEqual([watch.synced, watch.size, sizes], [true, 7, [7]]);
    assert.equal(watch.get("team", "app-6"), "r6");
    assert.deepEqual([watch.has("team", "no-role"), watch.has("app-6", "team")], [false, false]);
    assert.equal(kindsOf(following), "list list list watch");
    assert.deepEqual(
      server.requests.map(({ query }) => query.get("limit")),
      ["3", "3", "3", null],
    );
    // The newest state, not that of any cache.
    assert.ok(server.requests.slice(0, 3).every(({ query }) => !query.has("resourceVersion")));
  });

  for (const [metadataOnly, list, watch] of [
    [
      true,
      "application/json;as=PartialObjectMetadataList;v=1;g=meta.k8s.io,application/json",
      "application/json;as=PartialObjectMetadata;v=1;g=meta.k8s.io,application/json",
    ],
    [false, "application/json", "application/json"],
  ] as const) {
    it(`asks for ${metadataOnly ? "metadata only" : "whole objects"}`, async () => {
      await using following = await follow({ metadataOnly });
      await watching(following);
      assert.deepEqual(
        following.server.requests.map(({ accept }) => accept),
        [list, watch],
      );
    });
  }

  it("follows additions, changes and deletions", async () => {
    await using following = await follow({
      before: (server) => {
        server.put("team", "stays", { role: "a" });
        server.put("team", "changes", { role: "a" });
        server.put("team", "loses", { role: "a" });
        server.put("team", "goes", { role: "a" });
      },
    });
    await watching(following);
    const { server, watch } = following;
    server.put("team", "changes", { role: "b" });
    server.put("team", "loses", {});
    server.remove("team", "goes");
    server.put("other", "comes", { role: "c" });
    await until("the last change is there", () => watch.has("other", "comes"));
    assert.deepEqual(contentOf(following), {
      "team/stays": "a",
      "team/changes": "b",
      "other/comes": "c",
    });
    assert.deepEqual(
      following.events.flatMap((event) => (event.type === "changed" ? [event.name] : [])),
      ["changes", "loses", "goes", "comes"],
    );
  });

  it("asks for bookmarks, and for watches that end at different times", async () => {
    for (const [random, seconds] of [
      [0, "300"],
      [0.999, "599"],
    ] as const) {
      await using following = await follow({ random: () => random });
      await watching(following);
      const { query } = following.server.requests.at(-1) ?? assert.fail();
      assert.equal(query.get("allowWatchBookmarks"), "true");
      assert.equal(query.get("timeoutSeconds"), seconds);
    }
  });

  it("goes on where a watch ended, at once, without a new list", async () => {
    await using following = await follow({ before: (s) => s.put("team", "app", { role: "a" }) });
    await watching(following);
    const { server, watch, clock } = following;
    server.put("team", "app", { role: "b" });
    await until("the change is there", () => watch.get("team", "app") === "b");
    clock.advance(2000);
    server.cutWatches("timeout");
    await until("it watches again", () => server.watches === 1);
    assert.equal(kindsOf(following), "list watch watch");
    assert.equal(server.requests.at(-1)?.query.get("resourceVersion"), "102");
    assert.ok(!following.events.some(({ type }) => type === "failed"));
  });

  it("goes on from a bookmark", async () => {
    await using following = await follow();
    await watching(following);
    const { server, events, clock } = following;
    server.compact();
    server.bookmark();
    await until("the bookmark is there", () => events.some(({ type }) => type === "bookmark"));
    clock.advance(2000);
    server.cutWatches("timeout");
    await until("it watches again", () => server.watches === 1);
    assert.equal(kindsOf(following), "list watch watch");
    assert.equal(server.requests.at(-1)?.query.get("resourceVersion"), "101");
  });

  for (const how of ["mid-line", "reset"] as const) {
    it(`goes on after a back-off when a watch is cut (${how}), and misses nothing`, async () => {
      await using following = await follow();
      await watching(following);
      const { server, watch } = following;
      server.cutWatches(how);
      server.put("team", "meanwhile", { role: "a" });
      await failed(following, 1);
      assert.equal(kindsOf(following), "list watch");
      await following.retry();
      await until("the change is there", () => watch.has("team", "meanwhile"));
      assert.equal(kindsOf(following), "list watch watch");
    });
  }

  for (const refuseBy of ["status", "event"] as const) {
    it(`lists anew when its version is gone, told by ${refuseBy}; what was deleted vanishes`, async () => {
      await using following = await follow({
        before: (fresh) => {
          fresh.put("team", "goes", { role: "a" });
          fresh.put("team", "stays", { role: "a" });
        },
      });
      await watching(following);
      const { server, watch } = following;
      server.refuseBy = refuseBy;
      server.cutWatches("reset");
      server.remove("team", "goes");
      server.put("team", "comes", { role: "b" });
      server.compact();
      await failed(following, 1);
      await following.retry();
      await failed(following, 2);
      // Until the new list is whole, the old content is shown.
      assert.deepEqual(Object.keys(contentOf(following)), ["team/goes", "team/stays"]);
      await following.retry();
      await until("the new list is there", () => watch.has("team", "comes"));
      assert.deepEqual(Object.keys(contentOf(following)).toSorted(), ["team/comes", "team/stays"]);
      assert.equal(kindsOf(following), "list watch watch list");
    });
  }

  it("starts a list anew, with larger pages, when its continue token is gone", async () => {
    await using following = await follow({
      pageSize: 2,
      before: (server) => {
        for (let i = 0; i < 3; i += 1) server.put("team", `app-${i}`, { role: "a" });
        server.fail("list", { kind: "none" });
        server.fail("list", { kind: "compact" });
      },
    });
    const { server, watch } = following;
    await failed(following, 1);
    assert.equal(watch.size, 0);
    await following.retry();
    await watch.whenSynced;
    assert.equal(watch.size, 3);
    const limits = server.requests.map(({ query }) => query.get("limit"));
    assert.deepEqual(limits.slice(0, 3), ["2", "2", "4"]);
  });

  for (const on of ["list", "watch"] as const) {
    for (const [name, fault, reason] of [
      ["500", { kind: "status", status: 500 }, /answered 500: asked to fail/],
      ["401", { kind: "status", status: 401 }, /answered 401/],
      ["403", { kind: "status", status: 403 }, /answered 403/],
      ["429", { kind: "status", status: 429 }, /answered 429/],
      ["no connection", { kind: "close" }, /socket hang up/],
      ["no answer", { kind: "hang" }, /no answer within 50 ms/],
      ["a page of a proxy", { kind: "garbage", text: "<html>secret</html>" }, /no list|not JSON/],
    ] as const) {
      it(`tries a ${on} again after ${name}`, async () => {
        await using following = await follow({
          timeoutMs: name === "no answer" ? 50 : 5000,
          before: (server) => {
            server.fail(on, fault);
            // A kept connection that is closed is tried once more without a word.
            if (fault.kind === "close" && on === "watch") server.fail(on, fault);
          },
        });
        const { server, watch, log } = following;
        await failed(following, 1);
        assert.equal(watch.synced, on === "watch");
        await following.retry();
        await watching(following);
        server.put("team", "app", { role: "a" });
        await until("the change is there", () => watch.has("team", "app"));
        const again = new Set(kindsOf(following).split(" ").slice(1, -1));
        assert.deepEqual([...again], [on]);
        const [line, ...others] = log.filter(({ level }) => level === 40);
        assert.deepEqual([line?.["msg"], others], ["Cannot follow objects", []]);
        assert.match(String(line?.["reason"]), reason);
        assert.ok(!JSON.stringify(log).includes("secret"));
      });
    }
  }

  for (const [header, retryMs] of [
    ["0", 750],
    ["1", 1000],
    ["120", 120_000],
    ["86400", 300_000],
    ["soon", 750],
  ] as const) {
    it(`waits ${retryMs} ms when a busy server says Retry-After ${header}`, async () => {
      const headers = { "retry-after": header };
      await using following = await follow({
        before: (server) => server.fail("list", { kind: "status", status: 429, headers }),
      });
      await failed(following, 1);
      assert.deepEqual(following.clock.sleepers(), [retryMs]);
      following.clock.advance(retryMs - 1);
      assert.deepEqual([following.clock.sleepers(), kindsOf(following)], [[1], "list"]);
      following.clock.advance(1);
      await following.watch.whenSynced;
    });
  }

  it("waits longer with each failure, up to a limit, and forgets it once a watch works", async () => {
    await using following = await follow({
      before: (server) => {
        for (let i = 0; i < 6; i += 1) server.fail("list", { kind: "status", status: 500 });
        server.fail("watch", { kind: "status", status: 500 });
      },
    });
    for (let times = 1; times <= 7; times += 1) {
      await failed(following, times);
      await following.retry();
    }
    await watching(following);
    following.server.bookmark();
    await until("a bookmark", () => following.events.some(({ type }) => type === "bookmark"));
    following.server.cutWatches("reset");
    await failed(following, 8);
    assert.deepEqual(
      following.events.flatMap((event) => (event.type === "failed" ? [event.retryMs] : [])),
      [750, 1500, 3000, 6000, 12_000, 22_500, 22_500, 750],
    );
  });

  it("cuts a watch that has been silent for three minutes, and goes on", async () => {
    await using following = await follow();
    await watching(following);
    const { server, clock, watch } = following;
    clock.advance(100_000);
    server.bookmark();
    await until("a bookmark", () => following.events.some(({ type }) => type === "bookmark"));
    server.mute();
    server.put("team", "missed", { role: "a" });
    clock.advance(80_000);
    // The watchdog finds that a bookmark has come meanwhile, and goes on waiting for the rest.
    await until("the watchdog waits on", () => clock.sleepers()[0] === 100_000);
    clock.advance(99_999);
    assert.deepEqual(clock.sleepers(), [1]);
    clock.advance(1);
    await failed(following, 1);
    assert.equal(watch.staleSeconds(), 180);
    await following.retry();
    await until("the missed change is there", () => watch.has("team", "missed"));
    assert.equal(kindsOf(following), "list watch watch");
    assert.equal(watch.staleSeconds(), 0);
  });

  it("lists anew after three watches that an answering server gave nothing on", async () => {
    const garbage = { kind: "garbage", text: '{"type":"ADDED","object":{"secret":1}}' } as const;
    await using following = await follow({
      before: (server) => {
        server.fail("watch", garbage);
        server.fail("watch", { kind: "empty" });
        server.fail("watch", garbage);
      },
    });
    for (const times of [1, 2, 3]) {
      await failed(following, times);
      await following.retry();
    }
    await until("it watches", () => following.server.requests.length === 6);
    assert.equal(kindsOf(following), "list watch watch watch list watch");
    assert.ok(!JSON.stringify(following.log).includes("secret"));
  });

  it("tells a garbage line in an open watch and misses nothing", async () => {
    await using following = await follow();
    await watching(following);
    const { server, watch } = following;
    server.write("no event\n");
    server.put("team", "app", { role: "a" });
    await failed(following, 1);
    await following.retry();
    await until("the change is there", () => watch.has("team", "app"));
    const reasons = following.log.map(({ reason }) => reason).filter(Boolean);
    assert.deepEqual(reasons, ["cannot read a watch event: it is not JSON"]);
  });

  it("goes on after an ERROR event that is not about the version", async () => {
    await using following = await follow();
    await watching(following);
    const { server, watch } = following;
    server.write('{"type":"ERROR","object":{"code":500,"message":"etcd is gone"}}\n');
    await failed(following, 1);
    await following.retry();
    await watching(following);
    server.put("team", "app", { role: "a" });
    await until("the change is there", () => watch.has("team", "app"));
    assert.equal(kindsOf(following), "list watch watch");
    assert.ok(
      following.log.some(({ reason }) => /answered 500: etcd is gone/.test(String(reason))),
    );
  });

  it("holds nothing of an object that keep throws on, tells it, and takes its next version", async () => {
    await using following = await follow({
      before: (server) => {
        server.put("team", "listed", { role: "throws" });
        server.put("team", "app", { role: "a" });
      },
    });
    await watching(following);
    const { server, watch } = following;
    assert.deepEqual(contentOf(following), { "team/app": "a" });
    server.put("team", "app", { role: "throws" });
    await until("it is gone", () => !watch.has("team", "app"));
    server.put("team", "app", { role: "b" });
    await until("it is back", () => watch.get("team", "app") === "b");
    const told = following.log.filter(({ msg }) => msg === "Cannot use an object");
    assert.deepEqual(
      told.map(({ namespace, name }) => [namespace, name]),
      [
        ["team", "listed"],
        ["team", "app"],
      ],
    );
    assert.equal(kindsOf(following), "list watch");
  });

  it("leaves out a listed item that is no object, and tells it", async () => {
    const items = [{ metadata: { name: "app", annotations: { role: "a" } } }, { metadata: {} }];
    const text = JSON.stringify({ metadata: { resourceVersion: "100" }, items });
    await using following = await follow({
      before: (server) => server.fail("list", { kind: "garbage", text }),
    });
    await watching(following);
    assert.deepEqual(contentOf(following), { "/app": "a" });
    assert.equal(following.log.filter(({ msg }) => msg === "Cannot read an object").length, 1);
  });

  it("is not stopped by a handler of events that throws", async () => {
    await using following = await follow({
      onEvent: () => {
        throw new Error("broken handler");
      },
    });
    await watching(following);
    const { server, watch, log } = following;
    server.put("team", "app", { role: "a" });
    await until("the change is there", () => watch.has("team", "app"));
    const told = log.filter(({ msg }) => msg === "Cannot handle a list-watch event");
    assert.deepEqual(
      told.map(({ type }) => type),
      ["listed", "changed"],
    );
  });

  it("tells how old its knowledge is", async () => {
    await using following = await follow({
      before: (server) => server.fail("list", { kind: "status", status: 500 }),
    });
    const { clock, watch, server } = following;
    await failed(following, 1);
    clock.advance(500);
    assert.equal(watch.staleSeconds(), 0.5);
    clock.advance(250);
    await watching(following);
    assert.equal(watch.staleSeconds(), 0);
    clock.advance(60_000);
    assert.equal(watch.staleSeconds(), 60);
    server.bookmark();
    await until("the bookmark is there", () => watch.staleSeconds() === 0);
  });
});

describe("ListWatch, when stopped", () => {
  it("closes its watch and keeps what it has", async () => {
    await using following = await follow({ before: (s) => s.put("team", "app", { role: "a" }) });
    await watching(following);
    await following.watch[Symbol.asyncDispose]();
    await until("the watch is closed", () => following.server.watches === 0);
    assert.deepEqual(contentOf(following), { "team/app": "a" });
    assert.ok(!following.events.some(({ type }) => type === "failed"));
  });

  for (const [name, fault] of [
    ["in a back-off", { kind: "status", status: 500 }],
    ["during a list", { kind: "hang" }],
  ] as const) {
    it(`tells who waits for the first list (${name})`, async () => {
      const stop = new AbortController();
      await using following = await follow({
        signal: stop.signal,
        before: (server) => server.fail("list", fault),
      });
      const { watch, server, clock } = following;
      await until("it was asked", () => server.requests.length === 1);
      if (fault.kind === "status") await until("it waits", () => clock.sleepers().length === 1);
      const refused = assert.rejects(watch.whenSynced, { code: "KUBERNETES_UNAVAILABLE" });
      stop.abort();
      await refused;
      assert.deepEqual([watch.synced, watch.size, clock.sleepers()], [false, 0, []]);
      assert.equal(kindsOf(following), "list");
    });
  }

  it("never starts with a signal that has aborted", async () => {
    await using following = await follow({ signal: AbortSignal.abort() });
    await assert.rejects(following.watch.whenSynced, { code: "KUBERNETES_UNAVAILABLE" });
    assert.equal(following.server.requests.length, 0);
  });
});
