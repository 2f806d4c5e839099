import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { z } from "zod";
import { listen } from "../../lib/http.ts";
import { signToken, type SigningKey } from "../aws/fixtures/signing-keys.ts";

/** A pod as a test makes it. */
export interface PodOfNode {
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly nodeName: string;
  readonly addresses: readonly string[];
  readonly phase?: string;
  readonly hostNetwork?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
}

/**
 * The part of an API server that an agent of a node uses, over HTTP: pods by node and address, listed
 * and watched; single ServiceAccounts, Namespaces and pods; tokens that are bound to pods, and the
 * keys they are signed with; Events. All objects are in the namespace `ns`.
 */
export interface NodeApiServer extends AsyncDisposable {
  readonly url: string;
  /** Of each request: method and path without its query. */
  readonly requests: readonly string[];
  readonly events: readonly { readonly reason: string; readonly message: string }[];
  putPod(pod: PodOfNode): void;
  removePod(name: string): void;
  putServiceAccount(name: string, annotations: Readonly<Record<string, string>>): void;
  putNamespace(annotations: Readonly<Record<string, string>>): void;
  /** Keeps watches from hearing of pods; what is listed shows them at once. */
  holdWatches(): void;
  releaseWatches(): void;
  /** Does not answer any request until the next call with false. */
  hang(isHanging: boolean): void;
}

const TokenRequest = z.looseObject({
  spec: z.looseObject({
    audiences: z.array(z.string()),
    expirationSeconds: z.number(),
    boundObjectRef: z.looseObject({ name: z.string(), uid: z.string() }),
  }),
});
const Event = z.looseObject({ reason: z.string(), message: z.string() });

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
  const events: z.infer<typeof Event>[] = [];
  const watches = new Set<ServerResponse>();
  const held: string[] = [];
  let namespace: Stored = { metadata: { name: "ns", uid: "namespace-uid" } };
  let isHeld = false;
  let hanging: PromiseWithResolvers<void> | undefined;
  let version = 100;

  function tell(type: string, pod: PodOfNode): void {
    version += 1;
    const object = podObject(pod, version);
    held.push(`${JSON.stringify({ type, object })}\n`);
    if (!isHeld) release();
  }

  function release(): void {
    for (const line of held.splice(0)) for (const res of watches) res.write(line);
  }

  function listPods(query: URLSearchParams, res: ServerResponse): void {
    if (query.get("watch") === "true") {
      res.writeHead(200, { "content-type": "application/json" }).flushHeaders();
      watches.add(res);
      res.on("close", () => watches.delete(res));
      return;
    }
    const selector = new URLSearchParams((query.get("fieldSelector") ?? "").replaceAll(",", "&"));
    const podIp = selector.get("status.podIP");
    const items = [...pods.values()]
      .filter(({ nodeName }) => nodeName === selector.get("spec.nodeName"))
      .filter(({ addresses }) => podIp === null || addresses[0] === podIp)
      .map((pod) => podObject(pod, version));
    answer(res, 200, { kind: "List", metadata: { resourceVersion: String(version) }, items });
  }

  function makeToken(name: string, body: unknown, res: ServerResponse): void {
    const { spec } = TokenRequest.parse(body);
    const account = accounts.get(name);
    const pod = pods.get(spec.boundObjectRef.name);
    if (account === undefined || pod === undefined) return answer(res, 404, status("not found"));
    if (pod.uid !== spec.boundObjectRef.uid) return answer(res, 409, status("another uid"));
    if (pod.serviceAccount !== name) return answer(res, 400, status("another ServiceAccount"));
    const iat = Math.floor(now() / 1000);
    const claims = {
      iss: issuer,
      sub: `system:serviceaccount:ns:${name}`,
      aud: spec.audiences,
      iat,
      nbf: iat,
      exp: iat + spec.expirationSeconds,
      jti: randomUUID(),
      "kubernetes.io": {
        namespace: "ns",
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
    if (pathname === "/api/v1/namespaces/ns") return answer(res, 200, namespace);
    const [, kind, name = "", sub] =
      /^\/api\/v1\/namespaces\/ns\/(\w+)(?:\/([^/]+))?(?:\/(\w+))?$/.exec(pathname) ?? [];
    if (kind === "events" && req.method === "POST") {
      events.push(Event.parse(JSON.parse(text)));
      return answer(res, 201, {});
    }
    if (kind === "serviceaccounts" && sub === "token")
      return makeToken(name, JSON.parse(text), res);
    const account = kind === "serviceaccounts" ? accounts.get(name) : undefined;
    const pod = kind === "pods" ? pods.get(name) : undefined;
    const found = account ?? (pod && podObject(pod, version));
    answer(res, found === undefined ? 404 : 200, found ?? status("not found"));
  }

  const server = await listen((req, res) => void handle(req, res), {
    port: 0,
    host: "127.0.0.1",
    drainMs: 0,
  });
  return {
    url: `http://127.0.0.1:${server.port}`,
    requests,
    events,
    putPod(pod) {
      const type = pods.has(pod.name) ? "MODIFIED" : "ADDED";
      pods.set(pod.name, pod);
      tell(type, pod);
    },
    removePod(name) {
      const pod = pods.get(name);
      pods.delete(name);
      if (pod !== undefined) tell("DELETED", pod);
    },
    putServiceAccount(name, annotations) {
      const uid = accounts.get(name)?.metadata.uid ?? `${name}-uid`;
      accounts.set(name, { metadata: { name, uid, namespace: "ns", annotations } });
    },
    putNamespace(annotations) {
      namespace = { metadata: { ...namespace.metadata, annotations } };
    },
    holdWatches() {
      isHeld = true;
    },
    releaseWatches() {
      isHeld = false;
      release();
    },
    hang(isHanging) {
      hanging?.resolve();
      hanging = isHanging ? Promise.withResolvers<void>() : undefined;
    },
    async [Symbol.asyncDispose]() {
      hanging?.resolve();
      await server[Symbol.asyncDispose]();
    },
  };
}

function podObject(pod: PodOfNode, version: number): Stored {
  const { name, uid, serviceAccount, nodeName, addresses, annotations = {} } = pod;
  return {
    metadata: { name, uid, namespace: "ns", annotations, resourceVersion: String(version) },
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
