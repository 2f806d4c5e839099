import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failed, follow, kindsOf, watching } from "../../test/fakes/following.ts";
import { until } from "../../test/fakes/until.ts";

describe("startListWatch, when things fail", () => {
  for (const on of ["list", "watch"] as const) {
    for (const [name, fault, reason] of [
      ["500", { kind: "status", status: 500 }, /answered 500: asked to fail/],
      ["401", { kind: "status", status: 401 }, /answered 401/],
      ["403", { kind: "status", status: 403 }, /answered 403/],
      ["429", { kind: "status", status: 429 }, /answered 429/],
      ["no connection", { kind: "close" }, /socket hang up/],
      ["no answer", { kind: "hang" }, /no answer within 400 ms/],
      ["a page of a proxy", { kind: "garbage", text: "<html>secret</html>" }, /no list|not JSON/],
    ] as const) {
      it(`tries a ${on} again after ${name}`, async () => {
        await using following = await follow({
          timeoutMs: name === "no answer" ? 400 : 5000,
          before: (server) => {
            server.fail(on, fault);
            // A kept connection that is closed is tried once more without a word.
            if (fault.kind === "close" && on === "watch") server.fail(on, fault);
          },
        });
        const { server, watch, log } = following;
        await failed(following, 1);
        assert.equal(watch.synced, on === "watch");
        following.retry();
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
      following.retry();
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
    following.retry();
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
      following.retry();
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
    following.retry();
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
    following.retry();
    await watching(following);
    server.put("team", "app", { role: "a" });
    await until("the change is there", () => watch.has("team", "app"));
    assert.equal(kindsOf(following), "list watch watch");
    assert.ok(
      following.log.some(({ reason }) => /answered 500: etcd is gone/.test(String(reason))),
    );
  });
});
