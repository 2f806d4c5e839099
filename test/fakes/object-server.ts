import type { IncomingMessage, ServerResponse } from "node:http";
import { text as textOf } from "node:stream/consumers";
import jsonPatch from "fast-json-patch";
import { z } from "zod";
import { listen } from "../../lib/http.ts";

const SentObject = z.looseObject({
  metadata: z.looseObject({ name: z.string(), resourceVersion: z.string().optional() }),
});
const SentPatch = z.array(
  z.custom<jsonPatch.Operation>((operation) => z.looseObject({}).safeParse(operation).success),
);

/** An object of any kind, as it was sent, with the metadata that the server gives it. */
export interface StoredObject {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion: string;
  } & Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

export interface ObjectRequest {
  readonly method: string;
  /** Path without its query. */
  readonly path: string;
  /** What a client put in front of the API's paths, by which a test tells clients apart. */
  readonly prefix: string;
  readonly body: unknown;
}

/** How one request goes wrong. */
export type ObjectFault =
  | { readonly kind: "status"; readonly status: number }
  /** The request is not answered until the test says so; then it goes on as if nothing was. */
  | { readonly kind: "hold"; readonly until: Promise<void> }
  /** It is done, and the connection is closed without an answer. */
  | { readonly kind: "lost-answer" }
  /** The connection is closed and nothing is done. */
  | { readonly kind: "close" };

/**
 * A small API server for single objects of any kind: create, read, update and JSON Patch with the
 * rules about resourceVersion, delete, list and watch of a collection, and faults on demand.
 */
export interface ObjectServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly ObjectRequest[];
  /** By path, such as `/api/v1/namespaces/eks/secrets/cert`. */
  readonly objects: ReadonlyMap<string, StoredObject>;
  /** Writes an object past all rules, as another client would. */
  put(path: string, object: object): void;
  remove(path: string): void;
  /** Asked for each request: what goes wrong with it, if anything. */
  faultOf: (request: ObjectRequest) => ObjectFault | undefined;
}

interface Watch {
  readonly collection: string;
  readonly name: string | undefined;
  readonly res: ServerResponse;
}

interface Change {
  readonly version: number;
  readonly path: string;
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: StoredObject;
}

/** Starts it on a free port of the loopback interface, speaking plain HTTP. */
export async function startObjectServer(): Promise<ObjectServer> {
  const objects = new Map<string, StoredObject>();
  const requests: ObjectRequest[] = [];
  const watches = new Set<Watch>();
  const history: Change[] = [];
  let version = 100;
  const self = { faultOf: (_request: ObjectRequest): ObjectFault | undefined => undefined };

  function change(type: Change["type"], path: string, object: object): StoredObject {
    version += 1;
    const { metadata } = z.looseObject({ metadata: z.looseObject({}).optional() }).parse(object);
    const { collection, name } = placeOf(path);
    const [, namespace] = /\/namespaces\/([^/]+)\//.exec(collection) ?? [];
    const place = namespace === undefined ? { name } : { name, namespace };
    const stored = {
      ...object,
      metadata: { ...metadata, ...place, resourceVersion: String(version) },
    };
    if (type === "DELETED") objects.delete(path);
    else objects.set(path, stored);
    const entry = { version, path, type, object: stored };
    history.push(entry);
    for (const watch of watches) tell(watch, entry);
    return stored;
  }

  function tell({ collection, name, res }: Watch, { path, type, object }: Change): void {
    const place = placeOf(path);
    if (place.collection !== collection || (name !== undefined && name !== place.name)) return;
    res.write(`${JSON.stringify({ type, object })}\n`);
  }

  function handleCollection(path: string, query: URLSearchParams, res: ServerResponse): void {
    const [, name] = /^metadata\.name=(.+)$/.exec(query.get("fieldSelector") ?? "") ?? [];
    if (query.get("watch") === "true") {
      res.writeHead(200, { "content-type": "application/json" });
      res.flushHeaders();
      const watch = { collection: path, name, res };
      const from = Number(query.get("resourceVersion"));
      for (const entry of history) if (entry.version > from) tell(watch, entry);
      watches.add(watch);
      res.on("close", () => watches.delete(watch));
      return;
    }
    const items = [...objects].filter(([key]) => {
      const place = placeOf(key);
      return place.collection === path && (name === undefined || place.name === name);
    });
    const metadata = { resourceVersion: String(version) };
    answer(res, 200, { kind: "List", metadata, items: items.map(([, object]) => object) });
  }

  function handleWrite({ method, path, body }: ObjectRequest, res: ServerResponse): void {
    if (method === "POST") {
      const sent = SentObject.parse(body);
      const key = `${path}/${sent.metadata.name}`;
      if (objects.has(key)) return refuse(res, 409, `${key} already exists`);
      return answer(res, 201, change("ADDED", key, sent));
    }
    const current = objects.get(path);
    if (current === undefined) return refuse(res, 404, `${path} not found`);
    if (method === "GET") return answer(res, 200, current);
    if (method === "DELETE") return answer(res, 200, change("DELETED", path, current));
    if (method === "PATCH") {
      const patched = structuredClone(current);
      try {
        jsonPatch.applyPatch(patched, SentPatch.parse(body), true);
      } catch {
        // In these words, and without causes: so a real one tells it from an invalid object.
        const message = "the server rejected our request due to an error in our request";
        return refuse(res, 422, message, {});
      }
      return answer(res, 200, change("MODIFIED", path, patched));
    }
    const sent = SentObject.parse(body);
    const { resourceVersion } = sent.metadata;
    if (resourceVersion !== undefined && resourceVersion !== current.metadata.resourceVersion) {
      return refuse(res, 409, "the object has been modified");
    }
    answer(res, 200, change("MODIFIED", path, sent));
  }

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { pathname, searchParams: query } = new URL(req.url ?? "/", "http://fake");
    const [, prefix = "", path = ""] = /^(?:\/(\w+))??(\/apis?\/.*)$/.exec(pathname) ?? [];
    const text = await textOf(req);
    const request = {
      method: req.method ?? "",
      path,
      prefix,
      body: text === "" ? undefined : JSON.parse(text),
    };
    requests.push(request);
    const fault = self.faultOf(request);
    if (fault?.kind === "close") return void req.socket.destroy();
    if (fault?.kind === "status") return refuse(res, fault.status, "asked to fail");
    if (fault?.kind === "hold") await fault.until;
    if (fault?.kind === "lost-answer") res.end = () => (req.socket.destroy(), res);
    if (request.method === "GET" && isCollectionPath(path)) {
      return handleCollection(path, query, res);
    }
    handleWrite(request, res);
  }

  const server = await listen((req, res) => void handle(req, res), {
    port: 0,
    host: "127.0.0.1",
    drainMs: 0,
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    objects,
    get faultOf() {
      return self.faultOf;
    },
    set faultOf(faultOf) {
      self.faultOf = faultOf;
    },
    put: (path, object) => void change(objects.has(path) ? "MODIFIED" : "ADDED", path, object),
    remove(path) {
      const object = objects.get(path);
      if (object !== undefined) change("DELETED", path, object);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** `/api/v1/namespaces/eks/secrets`, `/apis/GROUP/v1/KIND`: an odd number of parts after the version. */
function isCollectionPath(path: string): boolean {
  const parts = path.replace(/^\/(api|apis\/[^/]+)\/[^/]+\//, "").split("/");
  return parts.length % 2 === 1;
}

function placeOf(path: string): { readonly collection: string; readonly name: string } {
  const cut = path.lastIndexOf("/");
  return { collection: path.slice(0, cut), name: path.slice(cut + 1) };
}

function answer(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { "content-type": "application/json" });
  res.end(JSON.stringify(body));
}

function refuse(
  res: ServerResponse,
  code: number,
  message: string,
  details: object = { causes: [{ message }] },
): void {
  answer(res, code, { kind: "Status", code, message, details });
}
