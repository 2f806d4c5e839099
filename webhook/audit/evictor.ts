import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { EventRecorder } from "../../lib/kube/events.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import { TokenBucket } from "../../lib/token-bucket.ts";
import type { EvictionResult } from "./audit-metrics.ts";
import type { AuditedPod } from "./audited-pod.ts";
import { EvictionPolicy, type EvictablePod } from "./eviction-policy.ts";
import type { FindingBook, KnownPods } from "./finding-book.ts";

export interface EvictorDeps {
  readonly connection: Pick<Transport, "request">;
  readonly recorder: Pick<EventRecorder, "record">;
  /** Whether the webhook is asked about a namespace now; its findings may be older than that. */
  readonly isCovered: (namespace: string) => boolean;
  /** Evictions in the long run; at most one at once. */
  readonly perMinute: number;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly onEviction: (result: EvictionResult) => void;
}

const TIMEOUT_MS = 30_000;
/** A PodDisruptionBudget that is used up is asked again after this. */
export const REFUSED_RETRY_MS = 30_000;
/** Any other failure, such as a missing right. */
export const FAILED_RETRY_MS = 5 * 60_000;

interface Candidate extends EvictablePod {
  readonly namespace: string;
  readonly name: string;
  readonly pod: AuditedPod;
}

/**
 * Evicts pods that lack their identity through the Eviction API (`policy/v1`), which keeps
 * PodDisruptionBudgets, one after the other as {@link EvictionPolicy} says. The pod must still be
 * the one that was looked at.
 */
export class Evictor {
  readonly #deps: EvictorDeps;
  readonly #policy = new EvictionPolicy();
  readonly #bucket: TokenBucket;

  constructor(deps: EvictorDeps) {
    this.#deps = deps;
    this.#bucket = new TokenBucket({ burst: 1, perMinute: deps.perMinute, clock: deps.clock });
  }

  /** Evicts one pod when one is due. */
  async step(pods: KnownPods, book: FindingBook): Promise<void> {
    const { clock, onEviction } = this.#deps;
    const candidates = this.#candidatesOf(pods, book);
    const next = this.#policy.next(candidates, clock.now());
    const candidate = candidates.find(({ uid }) => uid === next?.uid);
    if (candidate === undefined || !this.#bucket.take()) return;
    const result = await this.#evict(candidate);
    onEviction(result);
    const { controllerUid } = candidate;
    const nowMs = clock.now();
    if (result === "evicted") {
      const those = candidates.filter((other) => other.controllerUid === controllerUid);
      this.#policy.evicted(controllerUid, those, nowMs);
    } else if (result !== "gone") {
      const retryMs = result === "refused" ? REFUSED_RETRY_MS : FAILED_RETRY_MS;
      this.#policy.refused(controllerUid, retryMs, nowMs);
    }
  }

  /** All pods of the controllers that matter now: those with a finding, and those being mended. */
  #candidatesOf(pods: KnownPods, book: FindingBook): readonly Candidate[] {
    const found = new Set(
      [...book.findings.values()].flatMap(({ pod }) => pod.controller?.uid ?? []),
    );
    const candidates: Candidate[] = [];
    for (const { namespace, name, value: pod } of pods.entries()) {
      const { controller, uid } = pod;
      if (controller === undefined || !this.#deps.isCovered(namespace)) continue;
      if (!found.has(controller.uid) && !this.#policy.isTracking(controller.uid)) continue;
      candidates.push({
        uid,
        controllerUid: controller.uid,
        controllerKind: `${groupOf(controller.apiVersion)}/${controller.kind}`,
        finding: book.verdictOn(namespace, name, pod),
        isReady: pod.isReady,
        namespace,
        name,
        pod,
      });
    }
    return candidates;
  }

  async #evict({ namespace, name, uid, pod }: Candidate): Promise<EvictionResult> {
    const { connection, log, recorder } = this.#deps;
    const facts = { namespace, pod: name };
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}/eviction`;
    const body = {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { namespace, name },
      deleteOptions: { preconditions: { uid } },
    };
    try {
      const answer = await connection.request({
        method: "POST",
        path,
        body,
        timeoutMs: TIMEOUT_MS,
      });
      if (answer.status === 200 || answer.status === 201) {
        log.info(facts, "Evicted a pod that lacked its identity");
        const { controller } = pod;
        if (controller !== undefined) {
          await recorder.record({
            regarding: { ...controller, namespace },
            type: "Normal",
            reason: "AwsIdentityEvicted",
            message: `Evicted pod ${name}, which lacked its AWS identity: its successor gets it`,
          });
        }
        return "evicted";
      }
      const problem = refusalText(answer.status, answer.body);
      if (answer.status === 404 || answer.status === 409) return "gone";
      if (answer.status === 429) {
        log.info({ ...facts, problem }, "Cannot evict a pod for now");
        return "refused";
      }
      throw new Error(problem);
    } catch (err) {
      log.warn({ ...facts, problem: reasonOf(err) }, "Cannot evict a pod");
      return "failed";
    }
  }
}

function groupOf(apiVersion: string): string {
  const [group = "", version] = apiVersion.split("/");
  return version === undefined ? "" : group;
}
