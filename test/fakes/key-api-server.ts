import { generateKeyPairSync } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { createAuthority, issueServingCertificate } from "../../lib/certificates.ts";
import { listen } from "../../lib/http.ts";

/** How a path is answered: with JSON, with any text, with a status, not at all, or by hanging up. */
export type FakeAnswer =
  | { readonly kind: "json"; readonly body: unknown; readonly type?: string }
  | { readonly kind: "text"; readonly text: string; readonly type: string }
  | { readonly kind: "status"; readonly status: number }
  | { readonly kind: "hang" }
  | { readonly kind: "close" };

/** A small API server over TLS: its JWKS, the EndpointSlices of `default/kubernetes`, and ConfigMaps. */
export interface KeyApiServer extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Of each request: method, path with query, and who it says it is. */
  readonly requests: readonly { method: string; url: string; authorization: string | undefined }[];
  /** What `/openid/v1/jwks` says. */
  jwks: FakeAnswer;
  /** What the list of EndpointSlices says. */
  endpointSlices: FakeAnswer;
  /** By `namespace/name`; they get a new version at each write, and old versions are refused. */
  readonly configMaps: Map<string, FakeConfigMap>;
  /** Answers the next requests for ConfigMaps, one each, in place of what is there. */
  readonly configMapFaults: FakeAnswer[];
}

const FakeConfigMap = z.looseObject({
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string(),
    resourceVersion: z.string().optional(),
  }),
  data: z.record(z.string(), z.string()).optional(),
});
export type FakeConfigMap = z.infer<typeof FakeConfigMap>;

/** The authority and credentials that all servers of one fake cluster share. */
export interface FakeCluster extends AsyncDisposable {
  readonly token: string;
  /** Starts a server on 127.0.0.1 whose certificate is for `kubernetes.default.svc` only, or for names. */
  startServer(...names: readonly string[]): Promise<KeyApiServer>;
  /** Writes a kubeconfig with the cluster's authority and token. */
  kubeconfigFor(server: Pick<KeyApiServer, "url">): Promise<string>;
  /** A folder that goes with the cluster. */
  readonly folder: string;
}

export async function createFakeCluster(): Promise<FakeCluster> {
  const now = Date.now();
  const validity = { notBeforeMs: now - 60_000, notAfterMs: now + 3_600_000 };
  const authority = await createAuthority("fake cluster", validity);
  const ownPair = await issueServingCertificate(authority, ["kubernetes.default.svc"], validity);
  const folder = await mkdtemp(join(tmpdir(), "irsa-issuer-"));
  const token = "fake-service-account-token";
  const running = new AsyncDisposableStack();
  return {
    token,
    folder,
    async startServer(...names) {
      const [first, ...rest] = names;
      const keyPair =
        first === undefined
          ? ownPair
          : await issueServingCertificate(authority, [first, ...rest], validity);
      return running.use(await startServer(keyPair));
    },
    async kubeconfigFor({ url }) {
      const path = join(folder, `kubeconfig-${new URL(url).port}`);
      const ca = Buffer.from(authority.cert).toString("base64");
      const text = stringify({
        "current-context": "c",
        contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
        clusters: [
          {
            name: "c",
            cluster: {
              server: url,
              "certificate-authority-data": ca,
              "tls-server-name": "kubernetes.default.svc",
            },
          },
        ],
        users: [{ name: "u", user: { token } }],
      });
      await writeFile(path, text);
      return path;
    },
    async [Symbol.asyncDispose]() {
      await running.disposeAsync();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A public key as an API server serves it, under a name that is easy to tell apart. */
export function servedKey(kid: string): Record<string, string> {
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const { x = "", y = "" } = publicKey.export({ format: "jwk" });
  return { use: "sig", kty: "EC", kid, alg: "ES256", crv: "P-256", x, y };
}

/** A JWKS as kube-apiserver answers it. */
export function jwksAnswer(...keys: readonly unknown[]): FakeAnswer {
  return { kind: "json", body: { keys }, type: "application/jwk-set+json" };
}

/** The EndpointSlices of API servers on 127.0.0.1, which differ by port here. */
export function endpointSlicesAnswer(...ports: readonly number[]): FakeAnswer {
  const items = ports.map((port) => ({
    addressType: "IPv4",
    endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true } }],
    ports: [{ name: "https", port, protocol: "TCP" }],
  }));
  return { kind: "json", body: { kind: "EndpointSliceList", items } };
}

async function startServer(keyPair: { cert: string; key: string }): Promise<KeyApiServer> {
  const requests: { method: string; url: string; authorization: string | undefined }[] = [];
  const configMaps = new Map<string, FakeConfigMap>();
  const configMapFaults: FakeAnswer[] = [];
  const state = { jwks: jwksAnswer(), endpointSlices: endpointSlicesAnswer() };
  let version = 100;

  async function configMap(req: IncomingMessage): Promise<FakeAnswer> {
    const fault = configMapFaults.shift();
    if (fault !== undefined) return fault;
    const [, namespace = "", name = ""] =
      /^\/api\/v1\/namespaces\/([^/]+)\/configmaps(?:\/([^/]+))?$/.exec(req.url ?? "") ?? [];
    if (req.method === "GET") {
      const body = configMaps.get(`${namespace}/${name}`);
      return body === undefined ? status(404) : { kind: "json", body };
    }
    const sent = FakeConfigMap.parse(JSON.parse(await bodyOf(req)));
    const id = `${namespace}/${sent.metadata.name}`;
    const existing = configMaps.get(id);
    if (req.method === "PUT") {
      if (existing === undefined) return status(404);
      const { resourceVersion } = existing.metadata;
      if (sent.metadata.resourceVersion !== resourceVersion) return status(409);
    } else if (existing !== undefined) {
      return status(409);
    }
    version++;
    const body = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(version) } };
    configMaps.set(id, body);
    return { kind: "json", body };
  }

  const server = await listen(
    (req, res) => {
      const { method = "", url = "", headers } = req;
      requests.push({ method, url, authorization: headers.authorization });
      if (url === "/openid/v1/jwks") answer(res, state.jwks);
      else if (url.startsWith("/apis/discovery.k8s.io/")) answer(res, state.endpointSlices);
      else if (url.includes("/configmaps")) {
        void configMap(req).then((given) => answer(res, given));
      } else answer(res, status(404));
    },
    { port: 0, host: "127.0.0.1", drainMs: 0, keyPair },
  );
  let isClosed = false;
  return Object.assign(state, {
    port: server.port,
    url: `https://127.0.0.1:${server.port}`,
    requests,
    configMaps,
    configMapFaults,
    async [Symbol.asyncDispose]() {
      if (isClosed) return;
      isClosed = true;
      await server[Symbol.asyncDispose]();
    },
  });
}

function status(code: number): FakeAnswer {
  return { kind: "status", status: code };
}

function answer(res: ServerResponse, given: FakeAnswer): void {
  switch (given.kind) {
    case "json":
      res.setHeader("content-type", given.type ?? "application/json");
      res.end(JSON.stringify(given.body));
      return;
    case "text":
      res.setHeader("content-type", given.type);
      res.end(given.text);
      return;
    case "status":
      res.statusCode = given.status;
      res.setHeader("content-type", "application/json");
      res.end(JSON.stringify({ kind: "Status", code: given.status }));
      return;
    case "close":
      res.destroy();
      return;
    case "hang":
      return;
    default:
      given satisfies never;
  }
}

async function bodyOf(req: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of req) text += String(chunk);
  return text;
}
