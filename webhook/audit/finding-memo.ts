import type { Association } from "../identity/identity-source.ts";
import type { MutationSettings } from "../mutation/mutation.ts";
import type { NamespacePolicy } from "../../lib/namespace-policy.ts";
import type { Annotations, Pod } from "../pod/pod.ts";
import { podOf, type AuditedPod } from "./audited-pod.ts";
import { findingOf, type Finding } from "./finding.ts";

/** What a finding depends on beside the pod; undefined annotations when there is no ServiceAccount. */
export interface FindingFacts {
  readonly annotations: Annotations | undefined;
  readonly roleSetAtMs: number | undefined;
  readonly association: Association;
  readonly policy: NamespacePolicy;
}

interface Known {
  readonly facts: FindingFacts;
  readonly isOlder: boolean;
  readonly finding: Finding | undefined;
}

/**
 * Finds what is wrong with pods, and remembers the last answer for each that is shared by replicas:
 * most of a large cluster's pods ask the same again.
 */
export class FindingMemo {
  readonly #settings: MutationSettings;
  readonly #known = new WeakMap<Pod, Known>();

  constructor(settings: MutationSettings) {
    this.#settings = settings;
  }

  findingFor(audited: AuditedPod, facts: FindingFacts): Finding | undefined {
    const { annotations, roleSetAtMs, association, policy } = facts;
    const { createdAtMs } = audited;
    const isOlder =
      createdAtMs !== undefined && roleSetAtMs !== undefined && createdAtMs < roleSetAtMs;
    const known = this.#known.get(audited.pod);
    if (known !== undefined && known.isOlder === isOlder && isSame(known.facts, facts)) {
      return known.finding;
    }
    const finding = findingOf({
      pod: podOf(audited),
      serviceAccount:
        annotations === undefined
          ? { status: "service-account-not-found" }
          : { status: "found", annotations },
      association,
      settings: this.#settings,
      policy,
      roleSetAtMs,
    });
    this.#known.set(audited.pod, { facts, isOlder, finding });
    return finding;
  }
}

/** Values that were read once are the same objects until they are read anew. */
function isSame(a: FindingFacts, b: FindingFacts): boolean {
  return (
    a.annotations === b.annotations &&
    a.policy === b.policy &&
    a.association.containerCredentials === b.association.containerCredentials &&
    a.association.configMap === b.association.configMap
  );
}
