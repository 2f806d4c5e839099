import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EventRecorder, type EventFacts, type EventResult } from "../../lib/kube/events.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { createEventServer } from "../../test/fakes/event-server.ts";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import type { Controller } from "./audited-pod.ts";
import { FINDING_REASONS, type FindingReason } from "./finding.ts";
import type { FoundPod } from "./finding-book.ts";
import {
  eventReasonOf,
  MAX_PODS_A_CONTROLLER,
  MAX_READS_A_ROUND,
  writeFindingEvents,
} from "./finding-events.ts";

const replicaSet = (name: string): Controller => ({
  apiVersion: "apps/v1",
  kind: "ReplicaSet",
  name,
  uid: `uid-${name}`,
});

function foundPod(name: string, controller?: string, reason: FindingReason = "no-token"): FoundPod {
  const finding = { reason, message: "It lacks it.", roleArn: undefined, restartHelps: true };
  const pod = {
    uid: `uid-${name}`,
    serviceAccount: "reader",
    controller: controller === undefined ? undefined : replicaSet(controller),
    createdAtMs: 0,
    isReady: true,
    pod: {},
  };
  return { namespace: "team", name, pod, finding };
}

/** A recorder that takes as many as it is told to; controllers that stand alone. */
function setUp({
  limit = Number.POSITIVE_INFINITY,
  result = "created",
}: { readonly limit?: number; readonly result?: EventResult } = {}) {
  const written: EventFacts[] = [];
  const results: EventResult[] = [];
  const waiting: number[] = [];
  const read: string[] = [];
  const write = (findings: readonly FoundPod[], signal = new AbortController().signal) =>
    writeFindingEvents(
      findings,
      {
        recorder: {
          isDue: () => true,
          writtenMs: () => undefined,
          record: async (facts) => {
            if (written.length >= limit) return "limited";
            written.push(facts);
            return result;
          },
        },
        controllers: {
          knows: () => false,
          chainOf: async (_namespace, controller) => {
            read.push(controller.name);
            return [controller];
          },
        },
        onEvent: (one) => results.push(one),
        onWaiting: (count) => waiting.push(count),
      },
      signal,
    );
  const titles = (): readonly string[] =>
    written.map(({ regarding: { kind, name } }) => `${kind}/${name}`);
  return { write, written, results, waiting, read, titles };
}

describe("writeFindingEvents", () => {
  it("writes about controllers first, each once for a reason, then about pods", async () => {
    const t = setUp();
    await t.write([foundPod("a-1", "a"), foundPod("alone"), foundPod("a-2", "a")]);
    assert.deepEqual(t.titles(), ["ReplicaSet/a", "Pod/a-1", "Pod/alone", "Pod/a-2"]);
    assert.equal(t.written[0]?.message, "2 pods, such as a-1: It lacks it.");
    assert.equal(t.written[1]?.message, "It lacks it.");
  });

  it("keeps the reasons of a controller's pods apart", async () => {
    const t = setUp();
    await t.write([foundPod("a-1", "a"), foundPod("a-2", "a", "other-role")]);
    assert.deepEqual(
      t.written.slice(0, 2).map(({ reason }) => reason),
      ["AwsIdentityNoToken", "AwsIdentityOtherRole"],
    );
  });

  it("stops at the bound, and tells how many wait", async () => {
    const t = setUp({ limit: 2 });
    await t.write([foundPod("a"), foundPod("b"), foundPod("c"), foundPod("d")]);
    assert.deepEqual(t.titles(), ["Pod/a", "Pod/b"]);
    assert.deepEqual(t.results, ["created", "created", "limited"]);
    assert.deepEqual(t.waiting, [2]);
  });

  it("writes about a bounded number of a controller's pods that lack the same", async () => {
    const t = setUp();
    const replicas = Array.from({ length: 50 }, (_, i) => foundPod(`a-${i}`, "a"));
    await t.write([...replicas, foundPod("a-other", "a", "other-role"), foundPod("alone")]);
    const [first, ...others] = t.written;
    assert.match(first?.message ?? "", /^50 pods, such as a-0: /);
    const named = others.map(({ regarding }) => regarding.name);
    const told = replicas.slice(0, MAX_PODS_A_CONTROLLER).map(({ name }) => name);
    assert.deepEqual(named, ["a", ...told, "a-other", "alone"]);
  });

  it("gives each of many more findings than the bound allows its turn, before any has its second", async () => {
    const clock = createMovedClock();
    const server = createEventServer();
    const { connection } = server;
    const instance = { component: "irsa-webhook", instance: "a" };
    const { log } = createCollectedLog();
    const recorder = new EventRecorder({ connection, ...instance, clock, log });
    const findings = Array.from({ length: 2000 }, (_, i) => foundPod(`pod-${i}`));
    const waiting: number[] = [];
    const round = (): Promise<void> =>
      writeFindingEvents(
        findings,
        {
          recorder,
          controllers: {
            knows: () => true,
            chainOf: async (_namespace, controller) => [controller],
          },
          onEvent: () => {},
          onWaiting: (count) => waiting.push(count),
        },
        new AbortController().signal,
      );
    const minutes = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 1) {
        await round();
        clock.advance(60_000);
      }
    };
    await minutes(31);
    assert.equal(server.events.size, 100 + 30 * 60);
    // All but those of the last quarter of an hour.
    assert.equal(waiting.at(-1), 2000 - 15 * 60);
    // A new one is told at once, though so many wait.
    findings.push(foundPod("news", "news"));
    await minutes(1);
    assert.deepEqual(
      ["ReplicaSet", "Pod"].map((kind) =>
        [...server.events.values()].some(
          ({ involvedObject }) => involvedObject.kind === kind && involvedObject.name === "news",
        ),
      ),
      [true, false],
    );
    await minutes(2);
    assert.equal(server.events.size, 2002);
    await minutes(34);
    const counts = [...server.events.values()].map(({ count }) => count);
    assert.ok(
      counts.every((count) => count === 2 || count === 3),
      [...new Set(counts)].join(),
    );
    assert.ok(counts.filter((count) => count === 3).length < 200);
  });

  it("counts nothing that was written not long ago", async () => {
    const t = setUp({ result: "too-soon" });
    await t.write([foundPod("a")]);
    assert.deepEqual(t.results, []);
  });

  it("reads a bounded number of controllers, and writes about the others as they are", async () => {
    const t = setUp();
    const names = Array.from({ length: MAX_READS_A_ROUND + 1 }, (_, i) => `c-${i}`);
    await t.write(names.map((name) => foundPod(`pod-of-${name}`, name)));
    assert.deepEqual(t.read, names.slice(0, MAX_READS_A_ROUND));
    assert.equal(
      t.titles().filter((title) => title.startsWith("ReplicaSet/")).length,
      names.length,
    );
  });

  it("writes nothing once it is stopped", async () => {
    const t = setUp();
    await t.write([foundPod("a", "a")], AbortSignal.abort());
    assert.deepEqual(t.titles(), []);
  });
});

describe("eventReasonOf", () => {
  it("is one word in CamelCase for every reason", () => {
    for (const reason of Object.keys(FINDING_REASONS) as FindingReason[]) {
      assert.match(eventReasonOf(reason), /^AwsIdentity([A-Z][a-z]+)+$/);
    }
    assert.equal(eventReasonOf("annotated-later"), "AwsIdentityAnnotatedLater");
  });
});
