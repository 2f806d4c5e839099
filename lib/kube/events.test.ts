import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createEventServer, type EventServer } from "../../test/fakes/event-server.ts";
import { createMovedClock, type MovedClock } from "../../test/fakes/moved-clock.ts";
import { EventRecorder, type EventFacts } from "./events.ts";

const POD = { apiVersion: "v1", kind: "Pod", namespace: "team", name: "web-0", uid: "u-1" };
const FACTS: EventFacts = {
  regarding: POD,
  type: "Warning",
  reason: "NoToken",
  message: "It has none.",
};

const about = (uid: string): EventFacts => ({ ...FACTS, regarding: { ...POD, uid } });

interface Setting {
  readonly server: EventServer;
  readonly clock: MovedClock;
  readonly lines: readonly Readonly<Record<string, unknown>>[];
  readonly recorder: (limits?: { burst?: number; perMinute?: number }) => EventRecorder;
}

function setUp(): Setting {
  const server = createEventServer();
  const clock = createMovedClock();
  const { log, lines } = createCollectedLog();
  const { connection } = server;
  return {
    server,
    clock,
    lines,
    recorder: (limits = {}) =>
      new EventRecorder({
        connection,
        component: "irsa-webhook",
        instance: "a",
        clock,
        log,
        ...limits,
      }),
  };
}

describe("EventRecorder", () => {
  it("writes an Event about the object", async () => {
    const { server, recorder } = setUp();
    assert.equal(await recorder().record(FACTS), "created");
    const [event] = server.events.values();
    const { metadata, ...rest } = event ?? assert.fail("no Event");
    assert.match(metadata.name, /^web-0\.[0-9a-f]{16}$/);
    assert.equal(metadata.namespace, "team");
    assert.deepEqual(rest, {
      apiVersion: "v1",
      kind: "Event",
      involvedObject: POD,
      type: "Warning",
      reason: "NoToken",
      message: "It has none.",
      count: 1,
      firstTimestamp: "2026-01-01T00:00:00Z",
      lastTimestamp: "2026-01-01T00:00:00Z",
      source: { component: "irsa-webhook" },
      reportingComponent: "irsa-webhook",
      reportingInstance: "a",
    });
  });

  it("writes it again after 15 minutes, not before, as one Event with a count", async () => {
    const { server, clock, recorder } = setUp();
    const events = recorder();
    await events.record(FACTS);
    clock.advance(15 * 60_000 - 1);
    assert.equal(await events.record(FACTS), "too-soon");
    assert.equal(server.requests.length, 1);
    clock.advance(1);
    assert.equal(await events.record({ ...FACTS, message: "Still none." }), "repeated");
    const all = [...server.events.values()];
    assert.deepEqual(
      all.map(({ count, firstTimestamp, lastTimestamp, message }) => [
        count,
        firstTimestamp,
        lastTimestamp,
        message,
      ]),
      [[2, "2026-01-01T00:00:00Z", "2026-01-01T00:15:00Z", "Still none."]],
    );
  });

  it("finds its Event again after a restart", async () => {
    const { server, recorder } = setUp();
    await recorder().record(FACTS);
    assert.equal(await recorder().record(FACTS), "repeated");
    assert.deepEqual(
      [...server.events.values()].map(({ count }) => count),
      [2],
    );
  });

  it("begins anew when the API server has forgotten it", async () => {
    const { server, clock, recorder } = setUp();
    const events = recorder();
    await events.record(FACTS);
    server.expire();
    clock.advance(15 * 60_000);
    assert.equal(await events.record(FACTS), "created");
  });

  it("keeps objects and reasons apart", async () => {
    const { server, recorder } = setUp();
    const events = recorder();
    await events.record(FACTS);
    await events.record({ ...FACTS, reason: "OtherRole" });
    await events.record({ ...FACTS, regarding: { ...POD, uid: "u-2" } });
    assert.equal(server.events.size, 3);
  });

  it("bounds all writes, and goes on as time passes", async () => {
    const { server, clock, recorder } = setUp();
    const events = recorder({ burst: 2, perMinute: 1 });
    const results = [];
    for (const uid of ["1", "2", "3"]) results.push(await events.record(about(uid)));
    assert.deepEqual(results, ["created", "created", "limited"]);
    clock.advance(60_000);
    assert.equal(await events.record(about("3")), "created");
    assert.equal(server.requests.length, 3);
  });

  it("tells a refusal once, and does not ask again at once", async () => {
    const { server, lines, recorder } = setUp();
    const events = recorder();
    server.failNext(403);
    assert.equal(await events.record(FACTS), "failed");
    assert.equal(await events.record(FACTS), "too-soon");
    assert.deepEqual(
      lines.map(({ msg, problem }) => [msg, problem]),
      [["Cannot write an Event", "answered 403: asked to fail"]],
    );
  });

  it("writes nothing for 30 s when the API server cannot answer, then goes on", async () => {
    const { server, clock, recorder } = setUp();
    const events = recorder();
    server.failNext(503);
    assert.equal(await events.record(FACTS), "failed");
    clock.advance(29_999);
    assert.equal(await events.record(FACTS), "limited");
    clock.advance(1);
    assert.equal(await events.record(FACTS), "created");
  });

  const names: readonly (readonly [name: string, expected: RegExp])[] = [
    ["a".repeat(253), /^a{236}\.[0-9a-f]{16}$/],
    [`${"a".repeat(235)}-${"b".repeat(17)}`, /^a{235}\.[0-9a-f]{16}$/],
  ];
  for (const [name, expected] of names) {
    it(`keeps the name of an Event about ${name.slice(230, 240)}… within 253 characters`, async () => {
      const { server, recorder } = setUp();
      await recorder().record({ ...FACTS, regarding: { ...POD, name } });
      assert.match([...server.events.values()][0]?.metadata.name ?? "", expected);
    });
  }

  for (const [length, stored] of [
    [1024, 1024],
    [1025, 1024],
  ] as const) {
    it(`stores ${stored} characters of a message of ${length}`, async () => {
      const { server, recorder } = setUp();
      await recorder().record({ ...FACTS, message: "x".repeat(length) });
      assert.equal([...server.events.values()][0]?.message.length, stored);
    });
  }
});
