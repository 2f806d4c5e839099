import type { IncomingMessage, ServerResponse } from "node:http";
import { listen } from "../../lib/http.ts";

/** The part of an object that the fake server holds. */
export interface FakeObject {
  readonly metadata: {
    readonly namespace: string;
    readonly name: string;
    readonly resourceVersion: string;
    readonly annotations: Readonly<Record<string, string>>;
  };
}

/** Something that goes wrong with one request; each is used once, in the order given. */
export type Fault =
  /** Nothing goes wrong with this one. */
  | { readonly kind: "none" }
  /** All history is forgotten just before this request. */
  | { readonly kind: "compact" }
  | { readonly kind: "status"; readonly status: number; readonly headers?: Record<string, string> }
  /** The request is never answered. */
  | { readonly kind: "hang" }
  /** The connection is closed without an answer. */
  | { readonly kind: "close" }
  /** 200 with a body that is not what was asked for; for a watch, a line. */
  | { readonly kind: "garbage"; readonly text: string }
  /** The answer breaks off in the middle of an object. */
  | { readonly kind: "cut" }
  /** 200 and the end, without anything. */
  | { readonly kind: "empty" };

/**
 * A small API server with one collection: objects one by one, versions, a history that can be
 * compacted, paged lists that show one state, watches that go on from a version, bookmarks; and
 * faults on demand. Beside it there are the namespaces of these objects, and those that were put:
 * they are served without faults, and are not among the requests and watches that are told.
 */
export interface ListServer extends AsyncDisposable {
  readonly url: string;
  /** Of each request: what it asked for, its query and its `accept` header. */
  readonly requests: readonly SeenRequest[];
  /** Watches that are open now. */
  readonly watches: number;
  readonly objects: ReadonlyMap<string, FakeObject>;
  put(namespace: string, name: string, annotations: Readonly<Record<string, string>>): void;
  putNamespace(name: string, annotations: Readonly<Record<string, string>>): void;
  remove(namespace: string, name: string): void;
  /** Forgets all history: older versions and unfinished lists are answered 410 from now on. */
  compact(): void;
  /** How a watch from a forgotten version is refused: by its status, or by an event. */
  refuseBy: "status" | "event";
  bookmark(): void;
  /** Writes text into all open watches. */
  write(text: string): void;
  /** Closes all open watches, in the middle of a line or as the server's own timeout does. */
  cutWatches(how: "mid-line" | "reset" | "timeout"): void;
  /** Open watches stay open and are told nothing any more. */
  mute(): void;
  fail(on: SeenRequest["kind"], fault: Fault): void;
  clearFaults(): void;
}

export interface SeenRequest {
  readonly kind: "list" | "watch" | "get";
  readonly query: URLSearchParams;
  readonly accept: string;
}

interface Change {
  readonly version: number;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: FakeObject;
}

interface Watch {
  readonly res: ServerResponse;
  readonly bookmarks: boolean;
}

/** Starts it on a free port of the loopback interface, speaking plain HTTP. */
export async function startListServer(): Promise<ListServer> {
  const objects = new Map<string, FakeObject>();
  const requests: SeenRequest[] = [];
  const faults: { on: SeenRequest["kind"]; fault: Fault }[] = [];
  /** The state that a continue token pages through. */
  const snapshots = new Map<number, readonly FakeObject[]>();
  const watches = new Set<Watch>();
  const namespaces = new Map<string, Readonly<Record<string, string>>>();
  const namespaceWatches = new Set<ServerResponse>();
  let history: Change[] = [];
  // A real server does not start at 0 either, which has a meaning of its own.
  let version = 100;
  let compactedVersion = 0;
  let refuseBy: "status" | "event" = "status";

  function change(type: Change["type"], key: string, object: FakeObject): void {
    if (type === "DELETED") objects.delete(key);
    else objects.set(key, object);
    const entry = { version, type, object };
    history.push(entry);
    for (const { res } of watches) res.write(eventLine(entry));
  }

  function objectAt(
    namespace: string,
    name: string,
    annotations: Readonly<Record<string, string>>,
  ): FakeObject {
    version += 1;
    return { metadata: { namespace, name, annotations, resourceVersion: String(version) } };
  }

  function handleList(query: URLSearchParams, res: ServerResponse, fault: Fault | undefined): void {
    const [of = "", from = "0"] = (query.get("continue") ?? `${version}.0`).split(".");
    const state = Number(of);
    if (state < compactedVersion) return expired(res);
    let all = snapshots.get(state);
    if (all === undefined) {
      all = [...objects.values()];
      snapshots.set(state, all);
    }
    const limit = Number(query.get("limit") ?? all.length);
    const next = Number(from) + limit;
    const items = all.slice(Number(from), next);
    const token = next < all.length ? { continue: `${state}.${next}` } : {};
    const list = { kind: "List", metadata: { resourceVersion: of, ...token }, items };
    const text = JSON.stringify(list);
    res.setHeader("content-type", "application/json");
    if (fault?.kind !== "cut") return void res.end(text);
    res.setHeader("content-length", text.length);
    res.write(text.slice(0, text.length / 2), () => res.destroy());
  }

  function handleWatch(
    query: URLSearchParams,
    res: ServerResponse,
    fault: Fault | undefined,
  ): void {
    const from = Number(query.get("resourceVersion"));
    const gone = from < compactedVersion;
    if (gone && refuseBy === "status") return expired(res);
    res.writeHead(200, { "content-type": "application/json" });
    res.flushHeaders();
    if (gone) return void res.end(`${JSON.stringify({ type: "ERROR", object: EXPIRED })}\n`);
    if (fault?.kind === "empty") return void res.end();
    if (fault?.kind === "garbage") res.write(`${fault.text}\n`);
    const missed = history.filter((entry) => entry.version > from).map(eventLine);
    if (fault?.kind === "cut") {
      const text = missed.join("") || '{"type":"ADDED","object":{}}';
      return void res.write(text.slice(0, text.length / 2), () => res.destroy());
    }
    for (const line of missed) res.write(line);
    const watch = { res, bookmarks: query.get("allowWatchBookmarks") === "true" };
    watches.add(watch);
    res.on("close", () => watches.delete(watch));
  }

  function handleGet(key: string, res: ServerResponse): void {
    const object = objects.get(key);
    res.writeHead(object === undefined ? 404 : 200, { "content-type": "application/json" });
    res.end(JSON.stringify(object ?? { kind: "Status", code: 404, message: `${key} not found` }));
  }

  function tellNamespace(name: string, type: Change["type"]): void {
    const object = namespaceAt(name, namespaces.get(name) ?? {});
    for (const res of namespaceWatches) res.write(eventLine({ type, object }));
  }

  function namespaceAt(name: string, annotations: Readonly<Record<string, string>>): object {
    return { metadata: { name, annotations, resourceVersion: String(version) } };
  }

  function handleNamespaces(name: string, query: URLSearchParams, res: ServerResponse): void {
    if (query.get("watch") === "true") {
      res.writeHead(200, { "content-type": "application/json" });
      res.flushHeaders();
      namespaceWatches.add(res);
      return void res.on("close", () => namespaceWatches.delete(res));
    }
    const annotations = namespaces.get(name);
    const items = [...namespaces].map(([each, its]) => namespaceAt(each, its));
    const found = name === "" || annotations !== undefined;
    res.writeHead(found ? 200 : 404, { "content-type": "application/json" });
    const list = { kind: "List", metadata: { resourceVersion: String(version) }, items };
    res.end(JSON.stringify(name === "" ? list : namespaceAt(name, annotations ?? {})));
  }

  function handle(req: IncomingMessage, res: ServerResponse): void {
    const { pathname, searchParams: query } = new URL(req.url ?? "/", "http://fake");
    const [isNamespace, only = ""] = /^\/api\/v1\/namespaces(?:\/([^/]+))?$/.exec(pathname) ?? [];
    if (isNamespace !== undefined) return handleNamespaces(only, query, res);
    const [, namespace, name] = /\/namespaces\/([^/]+)\/[^/]+\/([^/]+)$/.exec(pathname) ?? [];
    const kind = name !== undefined ? "get" : query.get("watch") === "true" ? "watch" : "list";
    requests.push({ kind, query, accept: req.headers.accept ?? "" });
    const index = faults.findIndex(({ on }) => on === kind);
    const fault = index === -1 ? undefined : faults.splice(index, 1)[0]?.fault;
    if (fault?.kind === "compact") compact();
    if (fault?.kind === "hang") return;
    if (fault?.kind === "close") return void req.socket.destroy();
    if (fault?.kind === "status") {
      const { status: code, headers } = fault;
      res.writeHead(code, { "content-type": "application/json", ...headers });
      return void res.end(JSON.stringify({ kind: "Status", code, message: "asked to fail" }));
    }
    if (kind === "watch") return handleWatch(query, res, fault);
    if (fault?.kind === "garbage") {
      res.setHeader("content-type", fault.text.startsWith("{") ? "application/json" : "text/html");
      return void res.end(fault.text);
    }
    if (kind === "get") return handleGet(`${namespace}/${name}`, res);
    handleList(query, res, fault);
  }

  function compact(): void {
    // Something elsewhere has changed meanwhile: who saw all of ours may be too old as well.
    version += 1;
    compactedVersion = version;
    history = [];
    snapshots.clear();
  }

  const server = await listen(handle, { port: 0, host: "127.0.0.1", drainMs: 0 });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    objects,
    get watches() {
      return watches.size;
    },
    get refuseBy() {
      return refuseBy;
    },
    set refuseBy(how) {
      refuseBy = how;
    },
    putNamespace(name, annotations) {
      const type = namespaces.has(name) ? "MODIFIED" : "ADDED";
      version += 1;
      namespaces.set(name, annotations);
      tellNamespace(name, type);
    },
    put(namespace, name, annotations) {
      if (!namespaces.has(namespace)) {
        namespaces.set(namespace, {});
        tellNamespace(namespace, "ADDED");
      }
      const key = `${namespace}/${name}`;
      change(objects.has(key) ? "MODIFIED" : "ADDED", key, objectAt(namespace, name, annotations));
    },
    remove(namespace, name) {
      const key = `${namespace}/${name}`;
      const { annotations } = objects.get(key)?.metadata ?? {};
      if (annotations !== undefined) change("DELETED", key, objectAt(namespace, name, annotations));
    },
    compact,
    bookmark() {
      const object = { metadata: { resourceVersion: String(version) } };
      const line = `${JSON.stringify({ type: "BOOKMARK", object })}\n`;
      for (const { res, bookmarks } of watches) if (bookmarks) res.write(line);
    },
    write(text) {
      for (const { res } of watches) res.write(text);
    },
    cutWatches(how) {
      for (const { res } of watches) {
        if (how === "timeout") res.end();
        else if (how === "reset") res.destroy();
        else res.write('{"type":"ADDED","object":{"metadata":{"na', () => res.destroy());
      }
      watches.clear();
    },
    mute: () => watches.clear(),
    fail: (on, fault) => void faults.push({ on, fault }),
    clearFaults: () => void faults.splice(0),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const EXPIRED = {
  kind: "Status",
  status: "Failure",
  reason: "Expired",
  code: 410,
  message: "The provided version is too old.",
};

function expired(res: ServerResponse): void {
  res.writeHead(410, { "content-type": "application/json" }).end(JSON.stringify(EXPIRED));
}

function eventLine({ type, object }: { readonly type: string; readonly object: object }): string {
  return `${JSON.stringify({ type, object })}\n`;
}
