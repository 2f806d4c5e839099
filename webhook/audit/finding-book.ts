import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../../lib/clock.ts";
import type { ListWatch } from "../../lib/kube/list-watch.ts";
import type { Logger } from "../../lib/log.ts";
import type { AuditMetrics } from "./audit-metrics.ts";
import type { AuditedPod } from "./audited-pod.ts";
import type { Finding } from "./finding.ts";

/** A finding, and the pod that it is about. */
export interface FoundPod {
  readonly namespace: string;
  readonly name: string;
  readonly pod: AuditedPod;
  readonly finding: Finding;
}

export type KnownPods = Pick<ListWatch<AuditedPod>, "get" | "has" | "entries">;

export interface FindingBookDeps {
  /** What is wrong with a pod, by what is known of its ServiceAccount now. */
  readonly findingFor: (namespace: string, pod: AuditedPod) => Finding | undefined;
  readonly clock: Pick<Clock, "now">;
  readonly log: Pick<Logger, "info" | "warn" | "error">;
  readonly metrics: Pick<AuditMetrics, "found" | "setFindings">;
}

/**
 * Changes are looked at this much later, in milliseconds: a pod and its ServiceAccount come by
 * different watches, and what looks wrong for a moment is not worth telling.
 */
export const SETTLE_MS = 2000;
/** So many pods are looked at before reviews of new pods get their turn. */
const PODS_A_TURN = 20;

/** The findings of now: it looks again at what was marked, and tells what is new and what is gone. */
export class FindingBook {
  readonly #deps: FindingBookDeps;
  readonly #findings = new Map<string, FoundPod>();
  readonly #checked = new WeakSet<AuditedPod>();
  /** When what was marked is due, by `namespace/name`, by `namespace/`, or `/` for all. */
  readonly #due = new Map<string, number>();

  constructor(deps: FindingBookDeps) {
    this.#deps = deps;
  }

  markPod(namespace: string, name: string): void {
    this.#mark(`${namespace}/${name}`);
  }

  markNamespace(namespace: string): void {
    this.#mark(`${namespace}/`);
  }

  markAll(): void {
    this.#mark("/");
  }

  get findings(): ReadonlyMap<string, FoundPod> {
    return this.#findings;
  }

  /** What was found about a pod as it is now; `unchecked` before it was looked at. */
  verdictOn(namespace: string, name: string, pod: AuditedPod): Finding | "unchecked" | undefined {
    const found = this.#findings.get(`${namespace}/${name}`);
    if (found !== undefined && found.pod.uid === pod.uid) return found.finding;
    return this.#checked.has(pod) ? undefined : "unchecked";
  }

  /** Looks at all that is due. @returns whether any finding came or went. */
  async check(pods: KnownPods, signal: AbortSignal): Promise<boolean> {
    const nowMs = this.#deps.clock.now();
    const due = [...this.#due].flatMap(([key, atMs]) => (atMs <= nowMs ? [key] : []));
    for (const key of due) this.#due.delete(key);
    let changed = false;
    const namespaces = new Set(due.filter((key) => key.endsWith("/")));
    if (namespaces.size > 0) {
      let looked = 0;
      for (const { namespace, name, value } of pods.entries()) {
        if (!namespaces.has("/") && !namespaces.has(`${namespace}/`)) continue;
        if (this.#look(namespace, name, value)) changed = true;
        looked += 1;
        if (looked % PODS_A_TURN === 0) await nextTurn();
        if (signal.aborted) return changed;
      }
    }
    for (const key of due) {
      const [namespace = "", name = ""] = key.split("/");
      if (name === "") continue;
      if (this.#look(namespace, name, pods.get(namespace, name))) changed = true;
    }
    for (const { namespace, name } of this.#findings.values()) {
      if (!pods.has(namespace, name) && this.#look(namespace, name, undefined)) changed = true;
    }
    if (changed) this.#tellMetrics();
    return changed;
  }

  /** Forgets everything, as when another replica takes over. */
  clear(): void {
    this.#findings.clear();
    this.#tellMetrics();
  }

  #mark(key: string): void {
    // The first of many changes sets the time, so that a busy namespace is looked at as well.
    if (!this.#due.has(key)) this.#due.set(key, this.#deps.clock.now() + SETTLE_MS);
  }

  #look(namespace: string, name: string, pod: AuditedPod | undefined): boolean {
    const key = `${namespace}/${name}`;
    const old = this.#findings.get(key);
    const finding = pod === undefined ? undefined : this.#findingFor(namespace, name, pod);
    if (pod !== undefined) this.#checked.add(pod);
    const isSame =
      old !== undefined && finding?.reason === old.finding.reason && pod?.uid === old.pod.uid;
    if (pod !== undefined && finding !== undefined) {
      this.#findings.set(key, { namespace, name, pod, finding });
      if (isSame) return false;
      this.#tellNew({ namespace, name, pod, finding });
      return true;
    }
    if (old === undefined) return false;
    this.#findings.delete(key);
    const { reason } = old.finding;
    const message = "Pod lacks its identity no longer, or is gone";
    this.#deps.log.info({ namespace, pod: name, reason }, message);
    return true;
  }

  #findingFor(namespace: string, name: string, pod: AuditedPod): Finding | undefined {
    try {
      return this.#deps.findingFor(namespace, pod);
    } catch (err) {
      this.#deps.log.error({ namespace, pod: name, err }, "Cannot audit a pod");
      return undefined;
    }
  }

  #tellNew({ namespace, name, pod, finding }: FoundPod): void {
    const { log, metrics } = this.#deps;
    const { reason, roleArn, message, restartHelps } = finding;
    const { controller, serviceAccount } = pod;
    metrics.found(reason);
    log.warn(
      {
        namespace,
        pod: name,
        serviceAccount,
        ...(controller === undefined
          ? {}
          : { controller: `${controller.kind}/${controller.name}` }),
        reason,
        roleArn,
        restartHelps,
        problem: message,
      },
      "Pod lacks its identity",
    );
  }

  #tellMetrics(): void {
    const findings = [...this.#findings.values()];
    this.#deps.metrics.setFindings(
      findings.map(({ namespace, finding }) => ({ namespace, reason: finding.reason })),
    );
  }
}
