import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contentOf, failed, follow, kindsOf, watching } from "../../test/fakes/following.ts";
import { until } from "../../test/fakes/until.ts";

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
      "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
      "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
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
      following.retry();
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
      following.retry();
      await failed(following, 2);
      // Until the new list is whole, the old content is shown.
      assert.deepEqual(Object.keys(contentOf(following)), ["team/goes", "team/stays"]);
      following.retry();
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
    following.retry();
    await watch.whenSynced;
    assert.equal(watch.size, 3);
    const limits = server.requests.map(({ query }) => query.get("limit"));
    assert.deepEqual(limits.slice(0, 3), ["2", "2", "4"]);
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
