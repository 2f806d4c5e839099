/** A kept value with the object it was made from. */
export interface StoredEntry<T> {
  readonly namespace: string;
  readonly name: string;
  readonly value: T;
}

/** Values by namespace and name; the namespace of objects of the cluster is the empty string. */
export class ObjectStore<T> {
  readonly #namespaces = new Map<string, Map<string, T>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#namespaces.get(namespace)?.get(name);
  }

  has(namespace: string, name: string): boolean {
    return this.#namespaces.get(namespace)?.has(name) ?? false;
  }

  set(namespace: string, name: string, value: T): void {
    let names = this.#namespaces.get(namespace);
    if (names === undefined) {
      names = new Map();
      this.#namespaces.set(namespace, names);
    }
    if (!names.has(name)) this.#size += 1;
    names.set(name, value);
  }

  /** @returns whether it was there. */
  delete(namespace: string, name: string): boolean {
    const names = this.#namespaces.get(namespace);
    if (names === undefined || !names.delete(name)) return false;
    this.#size -= 1;
    if (names.size === 0) this.#namespaces.delete(namespace);
    return true;
  }

  *entries(): Generator<StoredEntry<T>, void, undefined> {
    for (const [namespace, names] of this.#namespaces) {
      for (const [name, value] of names) yield { namespace, name, value };
    }
  }
}
