import type {
  EventFacts,
  EventRecorder,
  EventResult,
  ObjectReference,
} from "../../lib/kube/events.ts";
import type { Controller } from "./audited-pod.ts";
import type { Controllers } from "./controllers.ts";
import type { FindingReason } from "./finding.ts";
import type { FoundPod } from "./finding-book.ts";

export interface FindingEventsDeps {
  readonly recorder: Pick<EventRecorder, "record" | "isDue" | "writtenMs">;
  readonly controllers: Pick<Controllers, "chainOf" | "knows">;
  readonly onEvent: (result: EventResult) => void;
  /** Told in each round how many Events are due that the bound held back. */
  readonly onWaiting: (count: number) => void;
}

/** Controllers read in one round, so that many of them do not hold up the first Events. */
export const MAX_READS_A_ROUND = 100;

/**
 * Pods of a controller that lack the same and get an Event of their own; the controller's tells of
 * the others, which are the same again.
 */
export const MAX_PODS_A_CONTROLLER = 10;

/** Word for an Event, such as `AwsIdentityNoToken`. */
export function eventReasonOf(reason: FindingReason): string {
  const words = reason.split("-").map((word) => `${word[0]?.toUpperCase()}${word.slice(1)}`);
  return `AwsIdentity${words.join("")}`;
}

/** Pods of one controller that lack the same. */
interface Group {
  readonly regarding: ObjectReference;
  readonly first: FoundPod;
  readonly pods: number;
}

/**
 * Writes Events about findings: one on each controller, and on the one above it, for all its pods
 * that lack the same; and one on each pod, up to {@link MAX_PODS_A_CONTROLLER}. What was never written
 * comes first, controllers before pods, since they are few and their Events outlive the pods; then
 * what was written longest ago. So whatever the recorder's bound holds back has its turn later.
 */
export async function writeFindingEvents(
  findings: Iterable<FoundPod>,
  deps: FindingEventsDeps,
  signal: AbortSignal,
): Promise<void> {
  const { recorder, onEvent, onWaiting } = deps;
  const all = [...findings];
  const groups = await groupsOf(all, deps, signal);
  const lastMs = (facts: EventFacts): number =>
    recorder.writtenMs(facts) ?? Number.NEGATIVE_INFINITY;
  const due = [...groups.map(groupEvent), ...podEvents(all)]
    .filter((facts) => recorder.isDue(facts))
    .map((facts) => ({ facts, lastMs: lastMs(facts) }))
    // Of two that were never written the difference is no number.
    .toSorted((a, b) => (a.lastMs === b.lastMs ? 0 : a.lastMs - b.lastMs));
  let waiting = due.length;
  for (const { facts } of due) {
    if (signal.aborted) return;
    const result = await recorder.record(facts);
    if (result !== "too-soon") onEvent(result);
    if (result === "limited") break;
    waiting -= 1;
  }
  onWaiting(waiting);
}

async function groupsOf(
  all: readonly FoundPod[],
  { controllers }: Pick<FindingEventsDeps, "controllers">,
  signal: AbortSignal,
): Promise<readonly Group[]> {
  const groups = new Map<string, Group>();
  let reads = 0;
  for (const found of all) {
    const { namespace, pod, finding } = found;
    if (signal.aborted) return [];
    if (pod.controller === undefined) continue;
    const isKnown = controllers.knows(pod.controller);
    if (!isKnown) reads += 1;
    const chain =
      isKnown || reads <= MAX_READS_A_ROUND
        ? await controllers.chainOf(namespace, pod.controller)
        : [pod.controller];
    for (const controller of chain) {
      const key = `${controller.uid} ${finding.reason}`;
      const regarding = referenceTo(namespace, controller);
      const group = groups.get(key) ?? { regarding, first: found, pods: 0 };
      groups.set(key, { ...group, pods: group.pods + 1 });
    }
  }
  return [...groups.values()];
}

function groupEvent({ regarding, first, pods }: Group): EventFacts {
  const { name, finding } = first;
  const who = pods === 1 ? "1 pod" : `${pods} pods`;
  return eventOf(regarding, finding, `${who}, such as ${name}: ${finding.message}`);
}

function podEvents(all: readonly FoundPod[]): readonly EventFacts[] {
  const told = new Map<string, number>();
  return all.flatMap(({ namespace, name, pod, finding }) => {
    const { uid, controller } = pod;
    if (controller !== undefined) {
      const key = `${controller.uid} ${finding.reason}`;
      const count = told.get(key) ?? 0;
      if (count === MAX_PODS_A_CONTROLLER) return [];
      told.set(key, count + 1);
    }
    const regarding = { apiVersion: "v1", kind: "Pod", namespace, name, uid };
    return [eventOf(regarding, finding, finding.message)];
  });
}

function eventOf(
  regarding: ObjectReference,
  { reason }: FoundPod["finding"],
  message: string,
): EventFacts {
  return { regarding, type: "Warning", reason: eventReasonOf(reason), message };
}

function referenceTo(
  namespace: string,
  { apiVersion, kind, name, uid }: Controller,
): ObjectReference {
  return { apiVersion, kind, namespace, name, uid };
}
