import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createMovedClock } from "../test/fakes/moved-clock.ts";
import { until } from "../test/fakes/until.ts";
import type { Answered, Failed, KeySource, SourceDirectory } from "./key-source.ts";
import type { SourceView } from "./merge.ts";
import { createPoller, type PollObserver } from "./poller.ts";

const NO_KEYS: Answered = { keys: [], filtered: [] };
const FAILED: Failed = { reason: "unreachable", message: "it is down" };

interface FakeSource extends KeySource {
  polls: number;
  answer: () => Promise<Answered | Failed>;
}

function createSource(id: string): FakeSource {
  return {
    id,
    polls: 0,
    answer: () => Promise.resolve(NO_KEYS),
    poll() {
      this.polls++;
      return this.answer();
    },
  };
}

function setUp(directory: { list: () => Promise<readonly KeySource[] | Failed> }, random = 0.5) {
  const clock = createMovedClock(0);
  const events: string[] = [];
  const observer: PollObserver = {
    polled: (id, result) => events.push(`${id} ${"reason" in result ? "failed" : "answered"}`),
    listed: (id, failed) => events.push(`${id} ${failed === undefined ? "listed" : "failed"}`),
    gone: (id) => events.push(`${id} gone`),
    crashed: (err) => events.push(String(err)),
  };
  let views: readonly SourceView[] = [];
  const poller = createPoller({
    directories: [{ id: "directory", ...directory } satisfies SourceDirectory],
    clock,
    random: () => random,
    intervalMs: 1000,
    observer,
    onChange(latest) {
      views = latest;
    },
  });
  const outcomes = () => Object.fromEntries(views.map(({ id, outcome }) => [id, outcome]));
  return { clock, events, poller, outcomes };
}

/** Runs a body beside the poller and stops it, also when the body fails. */
async function whileRunning(
  poller: { run(signal: AbortSignal): Promise<void> },
  body: () => Promise<void>,
): Promise<void> {
  const stop = new AbortController();
  const running = poller.run(stop.signal);
  try {
    await body();
  } finally {
    stop.abort();
    await running;
  }
}

describe("createPoller", () => {
  it("asks each source at its pace, so that one that hangs holds up no other", async () => {
    const [slow, quick] = [createSource("slow"), createSource("quick")];
    slow.answer = () => new Promise(() => {});
    const stop = new AbortController();
    const { clock, poller, outcomes } = setUp({ list: () => Promise.resolve([slow, quick]) });
    void poller.run(stop.signal);
    for (let polls = 1; polls <= 3; polls++) {
      await until(`poll ${polls} is done`, () => quick.polls === polls);
      await until("both loops sleep", () => clock.sleepers().length === 2);
      clock.advance(1000);
    }
    assert.deepEqual(outcomes(), { slow: "pending", quick: "answered" });
    assert.equal(slow.polls, 1);
    stop.abort();
  });

  for (const [random, expected] of [
    [0, 900],
    [0.5, 1000],
    [0.999, 1100],
  ] as const) {
    it(`waits about an interval: ${expected} ms at ${random}`, async () => {
      const { clock, poller } = setUp({ list: () => Promise.resolve([]) }, random);
      await whileRunning(poller, async () => {
        await until("it sleeps", () => clock.sleepers().length === 1);
        assert.equal(Math.round(clock.sleepers()[0] ?? 0), expected);
      });
    });
  }

  it("knows a failing source from one that answers, and tells each poll", async () => {
    const source = createSource("s");
    const { clock, events, poller, outcomes } = setUp({ list: () => Promise.resolve([source]) });
    await whileRunning(poller, async () => {
      await until("it has answered", () => outcomes()["s"] === "answered");
      source.answer = () => Promise.resolve(FAILED);
      await until("it sleeps", () => clock.sleepers().length === 2);
      clock.advance(1000);
      await until("it has failed", () => outcomes()["s"] === "failed");
    });
    assert.deepEqual(
      events.filter((event) => event.startsWith("s ")),
      ["s answered", "s failed"],
    );
  });

  it("follows sources that come and go", async () => {
    const [a, b] = [createSource("a"), createSource("b")];
    let listed = [a];
    const { clock, events, poller, outcomes } = setUp({ list: () => Promise.resolve(listed) });
    await whileRunning(poller, async () => {
      await until("a has answered", () => outcomes()["a"] === "answered");
      listed = [b];
      await until("all sleep", () => clock.sleepers().length === 2);
      clock.advance(1000);
      await until("b has answered", () => outcomes()["b"] === "answered");
      assert.deepEqual(outcomes(), { b: "answered" });
      const { polls } = a;
      await until("all sleep", () => clock.sleepers().length === 2);
      clock.advance(1000);
      await until("b was asked again", () => b.polls === 2);
      assert.equal(a.polls, polls);
    });
    assert.ok(events.includes("a gone"));
  });

  it("takes no late answer of a source that is gone", async () => {
    const [a, b] = [createSource("a"), createSource("b")];
    const late = Promise.withResolvers<Answered>();
    a.answer = () => late.promise;
    let listed = [a];
    const { clock, poller, outcomes } = setUp({ list: () => Promise.resolve(listed) });
    await whileRunning(poller, async () => {
      await until("a was asked", () => a.polls === 1);
      listed = [b];
      await until("the directory sleeps", () => clock.sleepers().length === 1);
      clock.advance(1000);
      await until("b has answered", () => outcomes()["b"] === "answered");
      late.resolve(NO_KEYS);
      await nextTurn();
      assert.deepEqual(outcomes(), { b: "answered" });
    });
  });

  it("goes on with the sources it knows while the directory fails, and says that it does", async () => {
    const source = createSource("s");
    let listed: readonly KeySource[] | Failed = FAILED;
    const { clock, poller, outcomes } = setUp({ list: () => Promise.resolve(listed) });
    await whileRunning(poller, async () => {
      await until("the directory has failed", () => outcomes()["directory"] === "failed");
      listed = [source];
      await until("it sleeps", () => clock.sleepers().length === 1);
      clock.advance(1000);
      await until("the source has answered", () => outcomes()["s"] === "answered");
      assert.deepEqual(outcomes(), { s: "answered" });
      listed = FAILED;
      await until("all sleep", () => clock.sleepers().length === 2);
      clock.advance(1000);
      await until("the source was asked again", () => source.polls === 2);
      assert.deepEqual(outcomes(), { directory: "failed", s: "answered" });
    });
  });

  it("survives a source that throws", async () => {
    const source = createSource("s");
    source.answer = () => Promise.reject(new Error("a bug"));
    const { clock, events, poller, outcomes } = setUp({ list: () => Promise.resolve([source]) });
    await whileRunning(poller, async () => {
      await until("it sleeps", () => clock.sleepers().length === 2);
      assert.ok(events.includes("Error: a bug"));
      source.answer = () => Promise.resolve(NO_KEYS);
      clock.advance(1000);
      await until("it has answered", () => outcomes()["s"] === "answered");
    });
  });

  it("asks every source once when that is all that is wanted", async () => {
    const [a, b] = [createSource("a"), createSource("b")];
    b.answer = () => Promise.resolve(FAILED);
    const { clock, poller, outcomes } = setUp({ list: () => Promise.resolve([a, b]) });
    await poller.pollOnce(new AbortController().signal);
    assert.deepEqual(outcomes(), { a: "answered", b: "failed" });
    assert.deepEqual([a.polls, b.polls, clock.sleepers().length], [1, 1, 0]);
  });
});
