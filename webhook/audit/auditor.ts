import type { Clock } from "../../lib/clock.ts";
import type { EventRecorder, EventResult } from "../../lib/kube/events.ts";
import { startListWatch, type ListWatch } from "../../lib/kube/list-watch.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import type { AuditMetrics } from "./audit-metrics.ts";
import { auditedPodKeeper, type AuditedPod } from "./audited-pod.ts";
import { Controllers } from "./controllers.ts";
import { Evictor } from "./evictor.ts";
import { FindingBook } from "./finding-book.ts";
import { writeFindingEvents } from "./finding-events.ts";
import type { Finding } from "./finding.ts";

export interface AuditorDeps {
  readonly connection: Pick<Transport, "request" | "stream">;
  readonly annotationPrefix: string;
  readonly isCovered: (namespace: string) => boolean;
  /** What is wrong with a pod of a covered namespace. */
  readonly findingFor: (namespace: string, pod: AuditedPod) => Finding | undefined;
  /** Whether all that a finding depends on is known and fresh; nothing is looked at meanwhile. */
  readonly isInformed: () => boolean;
  readonly recorder: Pick<EventRecorder, "record" | "isDue" | "writtenMs">;
  readonly metrics: AuditMetrics;
  /** 0 evicts nothing. */
  readonly evictionsPerMinute: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
}

/** How often it looks whether there is something to do, in milliseconds. */
export const STEP_MS = 1000;
/** How often Events are gone through when nothing has changed. */
const EVENTS_MS = 10_000;
/** All pods are listed anew for changed coverage at most this often. */
export const RENEWAL_MS = 30_000;
/** A watch that told nothing for this long is not acted upon. */
const STALE_SECONDS = 180;

/**
 * Watches the pods of covered namespaces and tells which of them do not carry the identity that they
 * should: in the log, as metrics and as Events, for as long as that lasts. Evicts those that a new
 * pod would cure, when it is asked to. Runs from its making until it is disposed.
 */
export class Auditor implements AsyncDisposable {
  readonly #deps: AuditorDeps;
  readonly #stop = new AbortController();
  readonly #book: FindingBook;
  readonly #controllers: Controllers;
  readonly #evictor: Evictor | undefined;
  readonly #running: Promise<void>;
  #pods: ListWatch<AuditedPod>;
  /** Takes the place of `#pods` once it has listed; which namespaces are covered has changed. */
  #nextPods: ListWatch<AuditedPod> | undefined;
  #coverageChanged = false;
  #renewalDueMs = 0;
  #eventsDueMs = 0;

  constructor(deps: AuditorDeps) {
    this.#deps = deps;
    const { connection, recorder, clock, log, metrics, evictionsPerMinute } = deps;
    this.#book = new FindingBook({
      findingFor: (namespace, pod) =>
        deps.isCovered(namespace) ? deps.findingFor(namespace, pod) : undefined,
      clock,
      log,
      metrics,
    });
    this.#controllers = new Controllers({ connection, log });
    this.#evictor =
      evictionsPerMinute === 0
        ? undefined
        : new Evictor({
            connection,
            recorder,
            isCovered: deps.isCovered,
            perMinute: evictionsPerMinute,
            clock,
            log,
            onEviction: (result) => metrics.eviction(result),
          });
    this.#pods = this.#follow();
    metrics.setActive(true);
    this.#running = this.#run();
  }

  /** A ServiceAccount of the namespace has changed. */
  accountChanged(namespace: string): void {
    if (this.#deps.isCovered(namespace)) this.#book.markNamespace(namespace);
  }

  /** Anything may have changed that findings depend on. */
  everythingChanged(): void {
    this.#book.markAll();
  }

  /** Other namespaces may be covered now: pods that were not kept are read again. */
  coverageChanged(): void {
    this.#coverageChanged = true;
  }

  /** For the metrics, when they are read. */
  get pods(): { readonly count: number; readonly staleSeconds: number } {
    return { count: this.#pods.size, staleSeconds: this.#pods.staleSeconds() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#pods[Symbol.asyncDispose]();
    await this.#nextPods?.[Symbol.asyncDispose]();
    this.#book.clear();
    this.#deps.metrics.setEventsWaiting(0);
    this.#deps.metrics.setActive(false);
  }

  #follow(): ListWatch<AuditedPod> {
    const { connection, annotationPrefix, isCovered, clock, log } = this.#deps;
    return startListWatch({
      connection,
      path: "/api/v1/pods",
      metadataOnly: false,
      keep: auditedPodKeeper(annotationPrefix, isCovered),
      clock,
      log,
      signal: this.#stop.signal,
      onEvent: (event) => {
        if (event.type === "listed") this.#book.markAll();
        if (event.type === "changed") this.#book.markPod(event.namespace, event.name);
      },
    });
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(STEP_MS, signal);
      if (signal.aborted) return;
      try {
        await this.#step(signal);
      } catch (err) {
        log.error({ err }, "Cannot audit pods");
      }
    }
  }

  async #step(signal: AbortSignal): Promise<void> {
    const { clock, recorder, metrics, isInformed } = this.#deps;
    if (!isInformed()) return;
    await this.#renewPods();
    const pods = this.#pods;
    if (!pods.synced) return;
    const changed = await this.#book.check(pods, signal);
    if (changed || clock.now() >= this.#eventsDueMs) {
      this.#eventsDueMs = clock.now() + EVENTS_MS;
      const { findings } = this.#book;
      const deps = {
        recorder,
        controllers: this.#controllers,
        onEvent: (result: EventResult) => metrics.event(result),
        onWaiting: (count: number) => metrics.setEventsWaiting(count),
      };
      await writeFindingEvents(findings.values(), deps, signal);
    }
    if (signal.aborted || pods.staleSeconds() >= STALE_SECONDS) return;
    await this.#evictor?.step(pods, this.#book);
  }

  async #renewPods(): Promise<void> {
    if (this.#nextPods?.synced === true) {
      const old = this.#pods;
      this.#pods = this.#nextPods;
      this.#nextPods = undefined;
      this.#book.markAll();
      await old[Symbol.asyncDispose]();
    }
    const nowMs = this.#deps.clock.now();
    if (this.#coverageChanged && this.#nextPods === undefined && nowMs >= this.#renewalDueMs) {
      this.#coverageChanged = false;
      this.#renewalDueMs = nowMs + RENEWAL_MS;
      this.#nextPods = this.#follow();
    }
  }
}
