import type { EventRecorder, EventResult, ObjectReference } from "../../lib/kube/events.ts";
import type { Controller } from "./audited-pod.ts";
import type { Controllers } from "./controllers.ts";
import type { FindingReason } from "./finding.ts";
import type { FoundPod } from "./finding-book.ts";

export interface FindingEventsDeps {
  readonly recorder: Pick<EventRecorder, "record">;
  readonly controllers: Pick<Controllers, "chainOf" | "knows">;
  readonly onEvent: (result: EventResult) => void;
}

/** Controllers read in one round, so that many of them do not hold up the first Events. */
export const MAX_READS_A_ROUND = 100;

/** Word for an Event, such as `AwsIdentityNoToken`. */
export function eventReasonOf(reason: FindingReason): string {
  const words = reason.split("-").map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`);
  return `AwsIdentity${words.join("")}`;
}

interface Group {
  readonly regarding: ObjectReference;
  readonly found: FoundPod[];
}

/**
 * Writes Events about findings: one on each controller, and on the one above it, for all its pods
 * that lack the same; then one on each pod. Controllers come first, since they are few, and their
 * Events outlive the pods. What the recorder's bound holds back is written in a later round.
 */
export async function writeFindingEvents(
  findings: Iterable<FoundPod>,
  { recorder, controllers, onEvent }: FindingEventsDeps,
  signal: AbortSignal,
): Promise<void> {
  const all = [...findings];
  const groups = new Map<string, Group>();
  let reads = 0;
  for (const found of all) {
    const { namespace, pod, finding } = found;
    if (pod.controller === undefined) continue;
    const isKnown = controllers.knows(pod.controller);
    if (!isKnown) reads += 1;
    const chain =
      isKnown || reads <= MAX_READS_A_ROUND
        ? await controllers.chainOf(namespace, pod.controller)
        : [pod.controller];
    for (const controller of chain) {
      const key = `${controller.uid} ${finding.reason}`;
      const group = groups.get(key) ?? { regarding: referenceTo(namespace, controller), found: [] };
      group.found.push(found);
      groups.set(key, group);
    }
    if (signal.aborted) return;
  }
  const record = async (regarding: ObjectReference, found: FoundPod, message: string) => {
    const reason = eventReasonOf(found.finding.reason);
    const result = await recorder.record({ regarding, type: "Warning", reason, message });
    if (result !== "too-soon") onEvent(result);
    return result;
  };
  for (const { regarding, found } of groups.values()) {
    const [first] = found;
    if (first === undefined || signal.aborted) return;
    const pods = found.length === 1 ? "1 pod" : `${found.length} pods`;
    const message = `${pods}, such as ${first.name}: ${first.finding.message}`;
    if ((await record(regarding, first, message)) === "limited") return;
  }
  for (const found of all) {
    if (signal.aborted) return;
    const { namespace, name, pod, finding } = found;
    const regarding = { apiVersion: "v1", kind: "Pod", namespace, name, uid: pod.uid };
    if ((await record(regarding, found, finding.message)) === "limited") return;
  }
}

function referenceTo(
  namespace: string,
  { apiVersion, kind, name, uid }: Controller,
): ObjectReference {
  return { apiVersion, kind, namespace, name, uid };
}
