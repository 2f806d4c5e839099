import type { KnownPod } from "./known-pod.ts";

const NONE: readonly KnownPod[] = Object.freeze([]);

/**
 * Pods by each of their addresses. It tells of all pods that have one, and never decides between
 * them; a pod that was replaced by another of the same name leaves nothing behind.
 */
export class PodIndex {
  readonly #pods = new Map<string, KnownPod>();
  readonly #byAddress = new Map<string, readonly KnownPod[]>();

  get size(): number {
    return this.#pods.size;
  }

  /** All pods with this address, in no order. */
  at(address: string): readonly KnownPod[] {
    return this.#byAddress.get(address) ?? NONE;
  }

  get(namespace: string, name: string): KnownPod | undefined {
    return this.#pods.get(`${namespace}/${name}`);
  }

  pods(): Iterable<KnownPod> {
    return this.#pods.values();
  }

  /**
   * Sets what is known under a name; undefined takes it away.
   *
   * @returns the addresses of which the pods are others now.
   */
  set(namespace: string, name: string, pod: KnownPod | undefined): ReadonlySet<string> {
    const key = `${namespace}/${name}`;
    const before = this.#pods.get(key);
    for (const address of before?.addresses ?? []) {
      const rest = this.at(address).filter((other) => other !== before);
      if (rest.length === 0) this.#byAddress.delete(address);
      else this.#byAddress.set(address, rest);
    }
    if (pod === undefined) this.#pods.delete(key);
    else {
      this.#pods.set(key, pod);
      for (const address of pod.addresses) {
        this.#byAddress.set(address, [...this.at(address), pod]);
      }
    }
    return new Set([...(before?.addresses ?? []), ...(pod?.addresses ?? [])]);
  }

  /** Replaces everything. */
  replace(pods: Iterable<KnownPod>): void {
    this.#pods.clear();
    this.#byAddress.clear();
    for (const pod of pods) this.set(pod.namespace, pod.name, pod);
  }
}
