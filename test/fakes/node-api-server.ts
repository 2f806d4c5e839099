import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { z } from "zod";
import { listen, type RunningServer } from "../../lib/http.ts";
import { signToken, type SigningKey } from "../aws/fixtures/signing-keys.ts";

/** A pod as a test makes it. */
export interface PodOfNode {
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly addresses: readonly string[];
  /** `ns` when absent. */
  readonly namespace?: string;
  readonly phase?: string;
  readonly deletionTimestamp?: string;
  readonly hostNetwork?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** An Event that was written. */
export interface ToldEvent {
  readonly reason: string;
  readonly message: string;
  /** Name of the object that it is about. */
  readonly about: string;
}

/**
 * The part of an API server that an agent of a node uses, over HTTP: pods by node and address, listed
 * and watched; single ServiceAccounts, Namespaces and pods; tokens that are bound to pods, and the
 * keys they are signed with; Events. Objects are in the namespace `ns` unless another is named, and a
 * namespace is there as soon as anything is put into it.
 */
export interface NodeApiServer extends AsyncDisposable {
  readonly url: string;
  /** Of each request: method and path without its query. */
  readonly requests: readonly string[];
  readonly events: readonly ToldEvent[];
  /** Watches that are open. */
  readonly watching: number;
  putPod(pod: PodOfNode): void;
  removePod(name: string): void;
  putServiceAccount(name: string, annotations: Annotations, namespace?: string): void;
  putNamespace(annotations: Annotations, name?: string): void;
  /** Keeps watches from hearing of pods; what is listed shows them at once. */
  holdWatches(): void;
  releaseWatches(): void;
  /** Ends all watches; what they have not told by then has to be listed. */
  cutWatches(): void;
  /** Does not answer any request until the next call with false. */
  hang(isHanging: boolean): void;
  /** Ends all connections and refuses new ones, until the next call with false. */
  refuse(isRefusing: boolean): Promise<void>;
}

type Annotations = Readonly<Record<string, string>>;

const DEFAULT_NAMESPACE = "ns";

const TokenRequest = z.looseObject({
  spec: z.looseObject({
    audiences: z.array(z.string()),
    expirationSeconds: z.number(),
    boundObjectRef: z.looseObject({ name: z.string(), uid: z.string() }),
  }),
});
const Event = z.looseObject({
  reason: z.string(),
  message: z.string(),
  involvedObject: z.looseObject({ name: z.string() }),
});

interface Stored {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly namespace?: string;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** Starts it on a free port of the loopback interface. */
export async function startNodeApiServer({
  issuer,
  key,
  now = Date.now,
}: {
  readonly issuer: string;
  readonly key: SigningKey;
  readonly now?: () => number;
}): Promise<NodeApiServer> {
  const pods = new Map<string, PodOfNode>();
  const accounts = new Map<string, Stored>();
  const requests: string[] = [];
  const events: ToldEvent[] = [];
  const watches = new Set<ServerResponse>();
  const told: { readonly version: number; readonly line: string }[] = [];
  const held: string[] = [];
  const namespaces = new Map<string, Stored>();
  let isHeld = false;
  let compactedVersion = 0;
  let hanging: PromiseWithResolvers<void> | undefined;
  let version = 100;

  function putNamespace(annotations: Annotations, name: string = DEFAULT_NAMESPACE): void {
    namespaces.set(name, { metadata: { name, uid: `${name}-namespace-uid`, annotations } });
  }
  putNamespace({});

  function ensureNamespace(name: string = DEFAULT_NAMESPACE): void {
    if (!namespaces.has(name)) putNamespace({}, name);
  }

  function tell(type: string, pod: PodOfNode): void {
    version += 1;
    const object = podObject(pod, version);
    const line = `${JSON.stringify({ type, object })}\n`;
    told.push({ version, line });
    held.push(line);
    if (!isHeld) release();
  }

  function release(): void {
    for (const line of held.splice(0)) for (const res of watches) res.write(line);
  }

  function watchPods(since: number, res: ServerResponse): void {
    if (since < compactedVersion) {
      answer(res, 410, { ...status("too old resource version"), code: 410 });
      return;
    }
    res.writeHead(200, { "content-type": "application/json" }).flushHeaders();
    for (const { version: at, line } of told) {
      if (at > since && !held.includes(line)) res.write(line);
    }
    watches.add(res);
    res.on("close", () => watches.delete(res));
  }

  function listPods(query: URLSearchParams, res: ServerResponse): void {
    if (query.get("watch") === "true") {
      return watchPods(Number(query.get("resourceVersion")), res);
    }
    const selector = new URLSearchParams((query.get("fieldSelector") ?? "").replaceAll(",", "&"));
    const podIp = selector.get("status.podIP");
    const items = [...pods.values()]
      .filter(({ nodeName }) => nodeName === selector.get("spec.nodeName"))
      .filter(({ addresses }) => podIp === null || addresses[0] === podIp)
      .map((pod) => podObject(pod, version));
    answer(res, 200, { kind: "List", metadata: { resourceVersion: String(version) }, items });
  }

  function makeToken(place: Place, body: unknown, res: ServerResponse): void {
    const { namespace, name } = place;
    const { spec } = TokenRequest.parse(body);
    const account = accounts.get(keyOf(place));
    const pod = pods.get(keyOf({ namespace, name: spec.boundObjectRef.name }));
    if (account === undefined || pod === undefined) return answer(res, 404, status("not found"));
    if (pod.uid !== spec.boundObjectRef.uid) return answer(res, 409, status("another uid"));
    if (pod.serviceAccount !== name) return answer(res, 400, status("another ServiceAccount"));
    const iat = Math.floor(now() / 1000);
    const claims = {
      iss: issuer,
      sub: `system:serviceaccount:${namespace}:${name}`,
      aud: spec.audiences,
      iat,
      nbf: iat,
      exp: iat + spec.expirationSeconds,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace,
        serviceaccount: { name, uid: account.metadata.uid },
        pod: { name: pod.name, uid: pod.uid },
        node: { name: pod.nodeName },
      },
    };
    const token = signToken(key, { alg: key.algorithm, kid: key.jwk["kid"] }, claims);
    answer(res, 201, { status: { token, expirationTimestamp: new Date(claims.exp * 1000) } });
  }

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(req.url ?? "/", "http://fake");
    requests.push(`${req.method} ${pathname}`);
    const text = await textOf(req);
    await hanging?.promise;
    if (pathname === "/api/v1/pods") return listPods(searchParams, res);
    if (pathname === "/openid/v1/jwks") return answer(res, 200, { keys: [key.jwk] });
    const [, namespace = "", kind, name = "", sub] =
      /^\/api\/v1\/namespaces\/([^/]+)(?:\/(\w+)(?:\/([^/]+))?(?:\/(\w+))?)?$/.exec(pathname) ?? [];
    const place = keyOf({ namespace, name });
    if (kind === "events" && req.method === "POST") {
      const { reason, message, involvedObject } = Event.parse(JSON.parse(text));
      events.push({ reason, message, about: involvedObject.name });
      return answer(res, 201, {});
    }
    if (kind === "serviceaccounts" && sub === "token")
      return makeToken({ namespace, name }, JSON.parse(text), res);
    const account = kind === "serviceaccounts" ? accounts.get(place) : undefined;
    const pod = kind === "pods" ? pods.get(place) : undefined;
    const own = kind === undefined ? namespaces.get(namespace) : undefined;
    const found = own ?? account ?? (pod && podObject(pod, version));
    answer(res, found === undefined ? 404 : 200, found ?? status("not found"));
  }

  const start = (onPort: number): Promise<RunningServer> =>
    listen((req, res) => void handle(req, res), { port: onPort, host: "127.0.0.1", drainMs: 0 });
  let server = await start(0);
  const { port } = server;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    events,
    get watching() {
      return watches.size;
    },
    putPod(pod) {
      const place = keyOf(pod);
      const type = pods.has(place) ? "MODIFIED" : "ADDED";
      pods.set(place, pod);
      ensureNamespace(pod.namespace);
      tell(type, pod);
    },
    removePod(name) {
      const place = keyOf({ name });
      const pod = pods.get(place);
      pods.delete(place);
      if (pod !== undefined) tell("DELETED", pod);
    },
    putServiceAccount(name, annotations, namespace = DEFAULT_NAMESPACE) {
      const account = keyOf({ namespace, name });
      const uid = accounts.get(account)?.metadata.uid ?? `${name}-uid`;
      accounts.set(account, { metadata: { name, uid, namespace, annotations } });
      ensureNamespace(namespace);
    },
    putNamespace,
    holdWatches() {
      isHeld = true;
    },
    releaseWatches() {
      isHeld = false;
      release();
    },
    cutWatches() {
      held.length = 0;
      compactedVersion = version;
      for (const res of watches) res.destroy();
    },
    hang(isHanging) {
      hanging?.resolve();
      hanging = isHanging ? Promise.withResolvers<void>() : undefined;
    },
    async refuse(isRefusing) {
      if (isRefusing) await server[Symbol.asyncDispose]();
      else server = await start(port);
    },
    async [Symbol.asyncDispose]() {
      hanging?.resolve();
      await server[Symbol.asyncDispose]();
    },
  };
}

interface Place {
  readonly name: string;
  readonly namespace?: string | undefined;
}

function keyOf({ name, namespace = DEFAULT_NAMESPACE }: Place): string {
  return `${namespace}/${name}`;
}

function podObject(pod: PodOfNode, version: number): Stored {
  const { name, uid, serviceAccount, nodeName, addresses, deletionTimestamp } = pod;
  const { namespace = DEFAULT_NAMESPACE, annotations = {} } = pod;
  return {
    metadata: {
      name,
      uid,
      namespace,
      annotations,
      resourceVersion: String(version),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    spec: { nodeName, serviceAccountName: serviceAccount, hostNetwork: pod.hostNetwork ?? false },
    status: {
      phase: pod.phase ?? "Running",
      podIP: addresses[0],
      podIPs: addresses.map((ip) => ({ ip })),
      hostIP: "10.0.0.1",
    },
  } as Stored;
}

function status(message: string): object {
  return { kind: "Status", status: "Failure", message };
}

function answer(res: ServerResponse, code: number, body: object): void {
  res.writeHead(code, { "content-type": "application/json" }).end(JSON.stringify(body));
}
