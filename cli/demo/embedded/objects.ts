import { randomUUID } from "node:crypto";
import { z } from "zod";

/** A Kubernetes object as the stand-in keeps it: its metadata read, all the rest passed through. */
export const KubeObject = z.looseObject({
  metadata: z.looseObject({
    name: z.string().optional(),
    generateName: z.string().optional(),
    namespace: z.string().optional(),
    uid: z.string().optional(),
    resourceVersion: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});
export type KubeObject = z.infer<typeof KubeObject>;

/** A stored object: one whose name, uid and version the API has given. */
export type Stored = KubeObject & {
  metadata: { name: string; uid: string; resourceVersion: string };
};

/** What a watcher of a collection is told. */
export interface Change {
  readonly type: "ADDED" | "MODIFIED";
  readonly object: Stored;
}

/** One collection of objects, keyed by namespace and name, with those who watch it. */
export class Collection {
  readonly #objects = new Map<string, Stored>();
  readonly #watchers = new Set<(change: Change) => void>();
  readonly #nextVersion: () => string;

  constructor(nextVersion: () => string) {
    this.#nextVersion = nextVersion;
  }

  get(namespace: string, name: string): Stored | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  list(): readonly Stored[] {
    return [...this.#objects.values()];
  }

  /** Stores an object under its name (or a generated one), and gives it uid and version. */
  put(namespace: string, object: KubeObject): Stored {
    const { name = `${object.metadata.generateName ?? ""}${randomUUID().slice(0, 5)}` } =
      object.metadata;
    const known = this.get(namespace, name);
    const stored: Stored = {
      ...object,
      metadata: {
        ...object.metadata,
        name,
        ...(namespace === "" ? {} : { namespace }),
        uid: known?.metadata.uid ?? randomUUID(),
        resourceVersion: this.#nextVersion(),
        creationTimestamp: new Date().toISOString(),
      },
    };
    this.#objects.set(`${namespace}/${name}`, stored);
    const change: Change = { type: known === undefined ? "ADDED" : "MODIFIED", object: stored };
    for (const watcher of this.#watchers) watcher(change);
    return stored;
  }

  /** Calls `watcher` at each change until the returned function is called. */
  watch(watcher: (change: Change) => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}
