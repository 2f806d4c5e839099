import { once } from "node:events";
import type { Clock } from "../../lib/clock.ts";
import { EventRecorder } from "../../lib/kube/events.ts";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import type { Lease } from "../../lib/kube/lease.ts";
import { startListWatch, type ListWatch, type ListWatchEvent } from "../../lib/kube/list-watch.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Logger } from "../../lib/log.ts";
import type { Association } from "../identity/identity-source.ts";
import type { MutationSettings } from "../mutation/mutation.ts";
import { parseNamespacePolicy, type NamespacePolicy } from "../../lib/namespace-policy.ts";
import type { KnownServiceAccount } from "../cluster-reads/service-accounts.ts";
import type { AuditMetrics } from "./audit-metrics.ts";
import { Auditor } from "./auditor.ts";
import { coverageLabelOf, isCovered, type Coverage } from "../coverage/coverage.ts";
import { FindingMemo } from "./finding-memo.ts";

export interface AuditDeps {
  readonly connection: Pick<Transport, "request" | "stream">;
  /** Runs the audit on one replica. */
  readonly lease: Pick<Lease, "whileHeld" | "identity">;
  /** The webhook's own copy of all ServiceAccounts. */
  readonly serviceAccounts: Pick<
    ListWatch<KnownServiceAccount>,
    "get" | "synced" | "whenSynced" | "staleSeconds"
  >;
  readonly associationOf: (namespace: string, serviceAccount: string) => Association;
  /** Whether all associations have been read once. */
  readonly associationsKnown: () => boolean;
  readonly settings: MutationSettings;
  readonly coverage: Coverage;
  readonly metrics: AuditMetrics;
  /** 0 evicts nothing. */
  readonly evictionsPerMinute: number;
  readonly clock: Clock;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
}

export interface Audit {
  /** To be told what happens to the copy of ServiceAccounts. */
  serviceAccountsChanged(event: ListWatchEvent): void;
  /** To be told when associations may have changed. */
  associationsChanged(): void;
  /** Brings the gauges up to date, when they are read. */
  refreshMetrics(): void;
}

/** What is kept of a namespace. */
interface KnownNamespace {
  readonly label: string | undefined;
  readonly policy: NamespacePolicy;
}

const NO_POLICY: NamespacePolicy = Object.freeze({});
const COMPONENT = "irsa-webhook";
/** Watches hear at least a bookmark a minute; what is older is not acted upon. */
const STALE_SECONDS = 180;

/** Runs the audit while the Lease is held; it ends with the Lease. */
export function startAudit(deps: AuditDeps): Audit {
  const { lease, metrics, serviceAccounts } = deps;
  let auditor: Auditor | undefined;
  metrics.setActive(false);
  lease.whileHeld(async (signal) => {
    const ended = once(signal, "abort");
    if (signal.aborted) return;
    deps.log.info("Auditing pods");
    const covered = new CoveredNamespaces(deps, signal, () => auditor);
    await using namespaces = covered.namespaces;
    const synced = Promise.all([namespaces.whenSynced, serviceAccounts.whenSynced]);
    await Promise.race([synced.catch(() => ended), ended]);
    if (signal.aborted) return;
    await using running = new Auditor(auditorDeps(deps, covered));
    auditor = running;
    await ended;
    auditor = undefined;
  });
  return {
    serviceAccountsChanged(event) {
      if (event.type === "listed") auditor?.everythingChanged();
      if (event.type === "changed") auditor?.accountChanged(event.namespace);
    },
    associationsChanged: () => auditor?.everythingChanged(),
    refreshMetrics() {
      metrics.setPods(auditor?.pods ?? { count: 0, staleSeconds: 0 });
    },
  };
}

/** Follows the namespaces, and tells the auditor of those whose coverage or policy changes. */
class CoveredNamespaces {
  readonly namespaces: ListWatch<KnownNamespace>;
  readonly #coverage: Coverage;
  readonly #auditor: () => Auditor | undefined;
  /** What the auditor was last told, by name. */
  readonly #told = new Map<string, { readonly covered: boolean; readonly policy: string }>();

  constructor(
    { connection, clock, log, coverage }: AuditDeps,
    signal: AbortSignal,
    auditor: () => Auditor | undefined,
  ) {
    this.#coverage = coverage;
    this.#auditor = auditor;
    this.namespaces = startListWatch<KnownNamespace>({
      connection,
      path: "/api/v1/namespaces",
      metadataOnly: true,
      keep: keptOf,
      clock,
      log,
      signal,
      onEvent: (event) => this.#heard(event),
    });
  }

  isCovered(name: string): boolean {
    return isCovered({ name, label: this.namespaces.get("", name)?.label }, this.#coverage);
  }

  policyOf(name: string): NamespacePolicy {
    return this.namespaces.get("", name)?.policy ?? NO_POLICY;
  }

  #heard(event: ListWatchEvent): void {
    if (event.type === "listed") {
      const known = [...this.namespaces.entries()].map(({ name }) => name);
      for (const name of new Set([...known, ...this.#told.keys()])) this.#compare(name);
    }
    if (event.type === "changed") this.#compare(event.name);
  }

  #compare(name: string): void {
    const told = this.#told.get(name);
    const now = { covered: this.isCovered(name), policy: JSON.stringify(this.policyOf(name)) };
    if (this.namespaces.has("", name)) this.#told.set(name, now);
    else this.#told.delete(name);
    // One that was never heard of is what it would be without any label.
    const before = told?.covered ?? isCovered({ name, label: undefined }, this.#coverage);
    if (now.covered !== before) this.#auditor()?.coverageChanged();
    else if (now.covered && now.policy !== told?.policy) this.#auditor()?.accountChanged(name);
  }
}

function keptOf({ metadata: { labels, annotations } }: KubeObject): KnownNamespace {
  return {
    label: coverageLabelOf(labels),
    policy: parseNamespacePolicy(annotations ?? {}).policy,
  };
}

function auditorDeps(
  deps: AuditDeps,
  covered: CoveredNamespaces,
): ConstructorParameters<typeof Auditor>[0] {
  const { connection, clock, log, metrics, settings, lease, serviceAccounts } = deps;
  const { evictionsPerMinute } = deps;
  const memo = new FindingMemo(settings);
  const sources = [serviceAccounts, covered.namespaces];
  return {
    connection,
    annotationPrefix: settings.annotationPrefix,
    isCovered: (namespace) => covered.isCovered(namespace),
    findingFor: (namespace, pod) => {
      const account = serviceAccounts.get(namespace, pod.serviceAccount);
      return memo.findingFor(pod, {
        annotations: account?.annotations,
        roleSetAtMs: account?.roleSetAtMs,
        association: deps.associationOf(namespace, pod.serviceAccount),
        policy: covered.policyOf(namespace),
      });
    },
    isInformed: () =>
      deps.associationsKnown() &&
      sources.every((source) => source.synced && source.staleSeconds() < STALE_SECONDS),
    recorder: new EventRecorder({
      connection,
      component: COMPONENT,
      instance: lease.identity,
      clock,
      log,
    }),
    metrics,
    evictionsPerMinute,
    clock,
    log,
  };
}
