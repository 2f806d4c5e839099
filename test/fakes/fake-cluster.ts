import type { KubeAnswer, KubeRequest, Transport } from "../../lib/kube/transport.ts";
import { createEventServer, type FakeEvent } from "./event-server.ts";

/** An object with a name, whatever its kind. */
export interface ClusterObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly uid?: string };
}

/**
 * A small API server without sockets: collections that can be listed and watched, single objects,
 * Events, and the Eviction API, which deletes unless it is told another answer.
 */
export interface FakeCluster {
  readonly connection: Pick<Transport, "request" | "stream">;
  readonly events: ReadonlyMap<string, FakeEvent>;
  /** Names of the pods whose eviction was asked for, in order. */
  readonly evictions: readonly string[];
  /** Status of the next evictions; 201 when there is none. */
  readonly evictionAnswers: number[];
  /** Lists of a collection so far. */
  listsOf(collection: string): number;
  put(collection: string, object: ClusterObject): void;
  remove(collection: string, name: string): void;
}

interface Watcher {
  readonly collection: string;
  readonly tell: (line: string) => void;
}

export function createFakeCluster(): FakeCluster {
  const eventServer = createEventServer();
  const collections = new Map<string, Map<string, ClusterObject>>();
  const watchers = new Set<Watcher>();
  const lists: string[] = [];
  const evictions: string[] = [];
  const evictionAnswers: number[] = [];
  const history: { collection: string; version: number; line: string }[] = [];
  let version = 100;

  const objectsOf = (collection: string): Map<string, ClusterObject> => {
    const objects = collections.get(collection) ?? new Map<string, ClusterObject>();
    collections.set(collection, objects);
    return objects;
  };

  function tell(collection: string, type: string, object: ClusterObject): void {
    version += 1;
    const metadata = { ...object.metadata, resourceVersion: String(version) };
    const line = JSON.stringify({ type, object: { ...object, metadata } });
    history.push({ collection, version, line });
    for (const watcher of watchers) if (watcher.collection === collection) watcher.tell(line);
  }

  function remove(collection: string, name: string): void {
    const object = objectsOf(collection).get(name);
    objectsOf(collection).delete(name);
    if (object !== undefined) tell(collection, "DELETED", object);
  }

  function answer(request: KubeRequest): KubeAnswer | Promise<KubeAnswer> {
    const { pathname } = new URL(request.path, "http://fake");
    const [, evicted] = /\/pods\/([^/]+)\/eviction$/.exec(pathname) ?? [];
    if (evicted !== undefined) {
      evictions.push(evicted);
      const status = evictionAnswers.shift() ?? 201;
      if (status === 201) remove("/api/v1/pods", evicted);
      return reply(status, { kind: "Status", code: status, message: "asked to" });
    }
    if (/\/events(\/|$)/.test(pathname)) return eventServer.connection.request(request);
    const objects = collections.get(pathname);
    if (objects !== undefined) {
      lists.push(pathname);
      const items = [...objects.values()];
      return reply(200, { kind: "List", metadata: { resourceVersion: String(version) }, items });
    }
    const at = pathname.lastIndexOf("/");
    const object = collections.get(pathname.slice(0, at))?.get(pathname.slice(at + 1));
    return object === undefined ? reply(404, { kind: "Status", code: 404 }) : reply(200, object);
  }

  return {
    connection: {
      request: async (request) => answer(request),
      stream: ({ path, signal }) => {
        const { pathname, searchParams } = new URL(path, "http://fake");
        const from = Number(searchParams.get("resourceVersion"));
        const missed = history.filter((entry) => entry.version > from);
        const queue = missed.flatMap(({ collection, line }) =>
          collection === pathname ? [line] : [],
        );
        let wake = Promise.withResolvers<void>();
        const watcher: Watcher = {
          collection: pathname,
          tell: (line) => {
            queue.push(line);
            wake.resolve();
          },
        };
        watchers.add(watcher);
        signal.addEventListener("abort", () => wake.resolve(), { once: true });
        async function* lines(): AsyncGenerator<string, void, undefined> {
          try {
            while (!signal.aborted) {
              const line = queue.shift();
              if (line !== undefined) yield line;
              else {
                await wake.promise;
                if (!signal.aborted) wake = Promise.withResolvers<void>();
              }
            }
          } finally {
            watchers.delete(watcher);
          }
        }
        return Promise.resolve({ status: 200, headers: {}, lines: lines() });
      },
    },
    events: eventServer.events,
    evictions,
    evictionAnswers,
    listsOf: (collection) => lists.filter((path) => path === collection).length,
    put(collection, object) {
      const objects = objectsOf(collection);
      const type = objects.has(object.metadata.name) ? "MODIFIED" : "ADDED";
      objects.set(object.metadata.name, object);
      tell(collection, type, object);
    },
    remove,
  };
}

function reply(status: number, body: unknown): KubeAnswer {
  return { status, headers: {}, body };
}
