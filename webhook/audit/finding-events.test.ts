import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EventFacts, EventResult } from "../../lib/kube/events.ts";
import type { Controller } from "./audited-pod.ts";
import { FINDING_REASONS, type FindingReason } from "./finding.ts";
import type { FoundPod } from "./finding-book.ts";
import { eventReasonOf, MAX_READS_A_ROUND, writeFindingEvents } from "./finding-events.ts";

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
  const read: string[] = [];
  const write = (findings: readonly FoundPod[], signal = new AbortController().signal) =>
    writeFindingEvents(
      findings,
      {
        recorder: {
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
      },
      signal,
    );
  const titles = (): readonly string[] =>
    written.map(({ regarding: { kind, name } }) => `${kind}/${name}`);
  return { write, written, results, read, titles };
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

  it("stops at the bound", async () => {
    const t = setUp({ limit: 2 });
    await t.write([foundPod("a"), foundPod("b"), foundPod("c"), foundPod("d")]);
    assert.deepEqual(t.titles(), ["Pod/a", "Pod/b"]);
    assert.deepEqual(t.results, ["created", "created", "limited"]);
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
