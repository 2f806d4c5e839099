import { isIPv6 } from "node:net";
import { z } from "zod";
import { AppError } from "../lib/errors.ts";
import type { ApiServer, KubeAnswer, Transport } from "../lib/kube/transport.ts";
import { JWKS_PATH } from "./discovery.ts";
import { sanitizeJwk, type PublicJwk } from "./jwk.ts";
import type { Answered, Failed, FilteredKey, KeySource, SourceDirectory } from "./key-source.ts";

/** The calls of a Kubernetes connection that are used here. */
export type KubeRequester = Pick<Transport, "request">;

/** The name that every API server's certificate is for, whatever address it has. */
const API_SERVER_NAME = "kubernetes.default.svc";

/** kube-apiserver answers 406 to who does not accept the first, and old ones sent the second. */
const JWKS_ACCEPT = "application/jwk-set+json, application/json";

const ENDPOINT_SLICES_PATH =
  "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices" +
  "?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes";

const Jwks = z.looseObject({ keys: z.array(z.unknown()) });

const EndpointSlices = z.looseObject({
  items: z.array(
    z.looseObject({
      endpoints: z
        .array(
          z.looseObject({
            addresses: z.array(z.union([z.ipv4(), z.ipv6()])),
            conditions: z.looseObject({ ready: z.boolean().nullish() }).nullish(),
          }),
        )
        .nullish(),
      ports: z
        .array(
          z.looseObject({
            name: z.string().nullish(),
            port: z.number().int().min(1).max(65_535).nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});

/** The JWKS of one API server: each serves the keys of its own flags only. */
export function apiServerSource(
  kube: KubeRequester,
  server: ApiServer,
  { timeoutMs }: { readonly timeoutMs: number },
): KeySource {
  return {
    id: server.url,
    async poll(signal) {
      const request = { path: JWKS_PATH, accept: JWKS_ACCEPT, server, timeoutMs, signal };
      const answer = await ask(kube, request);
      return "reason" in answer ? answer : keysOf(answer.body);
    },
  };
}

/**
 * Every API server of the cluster, from the EndpointSlices of the Service `default/kubernetes`, where
 * each of them registers itself.
 */
export function discoveredApiServers(
  kube: KubeRequester,
  { timeoutMs }: { readonly timeoutMs: number },
): SourceDirectory {
  return {
    id: "endpointslices default/kubernetes",
    async list(signal) {
      const answer = await ask(kube, { path: ENDPOINT_SLICES_PATH, timeoutMs, signal });
      if ("reason" in answer) return answer;
      const urls = apiServerUrlsOf(answer.body);
      if ("reason" in urls) return urls;
      return urls.map((url) =>
        apiServerSource(kube, { url, serverName: API_SERVER_NAME }, { timeoutMs }),
      );
    },
  };
}

async function ask(
  kube: KubeRequester,
  request: Parameters<KubeRequester["request"]>[0],
): Promise<KubeAnswer | Failed> {
  let answer: KubeAnswer;
  try {
    answer = await kube.request(request);
  } catch (err) {
    if (!(err instanceof AppError)) throw err;
    return { reason: "unreachable", message: err.message };
  }
  if (answer.status === 200) return answer;
  const path = request.path.replace(/\?.*/, "");
  const message = `Cannot read ${path}: expected HTTP 200, got ${answer.status}`;
  return { reason: "refused", message };
}

function keysOf(body: unknown): Answered | Failed {
  const parsed = Jwks.safeParse(body);
  if (!parsed.success) {
    const message = "Cannot use the JWKS: expected a JSON object with a list of keys";
    return { reason: "invalid", message };
  }
  const keys: PublicJwk[] = [];
  const filtered: FilteredKey[] = [];
  for (const served of parsed.data.keys) {
    const result = sanitizeJwk(served);
    if ("jwk" in result) keys.push(result.jwk);
    else filtered.push(result);
  }
  if (keys.length > 0) return { keys, filtered };
  const found = filtered.map(({ reason, detail }) => `${reason} (${detail})`).join(", ");
  const message = `Cannot use the JWKS: expected a key that STS accepts, got ${found || "none"}`;
  return { reason: "empty", message };
}

function apiServerUrlsOf(body: unknown): readonly string[] | Failed {
  const parsed = EndpointSlices.safeParse(body);
  if (!parsed.success) {
    const message = `Cannot use the EndpointSlices of default/kubernetes: ${z
      .prettifyError(parsed.error)
      .replaceAll("\n", " ")}`;
    return { reason: "invalid", message };
  }
  const urls = parsed.data.items.flatMap(({ endpoints, ports }) =>
    (ports ?? [])
      .filter(({ name }) => name === "https")
      .flatMap(({ port }) =>
        (endpoints ?? [])
          // Absent means ready (Kubernetes API, EndpointConditions).
          .filter(({ conditions }) => conditions?.ready !== false)
          .flatMap(({ addresses }) => addresses)
          .map((address) => `https://${isIPv6(address) ? `[${address}]` : address}:${port ?? 443}`),
      ),
  );
  if (urls.length > 0) return [...new Set(urls)];
  const message = "Cannot find API servers: the EndpointSlices of default/kubernetes are empty";
  return { reason: "empty", message };
}
