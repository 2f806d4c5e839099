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
    timeoutMs: 5000,
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
});
