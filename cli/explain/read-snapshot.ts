import { z } from "zod";
import { AppError } from "../../lib/errors.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { KubeObject } from "../../lib/kube/kube-object.ts";
import { entryFor, parseConfigMapEntries } from "../../webhook/associations/config-map-entries.ts";
import { CONFIG_MAP_NAME } from "../../webhook/associations/config-map-watch.ts";
import type { ConfigMapEntry } from "../../webhook/identity/identity-source.ts";
import { parsePod, serviceAccountNameOf } from "../../webhook/pod/pod.ts";
import { identityWebhooksIn, type IdentityWebhook } from "./identity-webhook.ts";
import { reachWebhook } from "./reach-webhook.ts";
import { nodeNameOf } from "./shim-caller.ts";
import { observeShims } from "./observe-shims.ts";
import { READ_TIMEOUT_MS, readFound } from "./read-found.ts";
import type { Found, ObservedWebhook, PodEvent, Snapshot } from "./snapshot.ts";

type Connection = Pick<KubeConnection, "request">;

const Slices = z.looseObject({
  items: z.array(
    z.looseObject({
      endpoints: z
        .array(
          z.looseObject({
            conditions: z.looseObject({ ready: z.boolean().nullish() }).nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});
const Service = z.looseObject({ spec: z.looseObject({ clusterIP: z.string().nullish() }) });
const ConfigMap = z.looseObject({
  data: z.looseObject({ config: z.string().nullish() }).nullish(),
});
const Events = z.looseObject({
  items: z.array(
    z.looseObject({
      type: z.string().nullish(),
      reason: z.string().nullish(),
      message: z.string().nullish(),
      source: z.looseObject({ component: z.string().nullish() }).nullish(),
    }),
  ),
});

export interface ReadOptions extends Pick<Snapshot, "inCluster" | "sharesLoopback"> {
  /** Where the webhook's ConfigMap is; undefined when it has none. */
  readonly configMapNamespace: string | undefined;
}

/**
 * Reads everything that decides about the identity of a pod. What may not be read is noted and left
 * out; only the pod itself is needed. Opens a TLS connection to the webhook where there is an
 * address to try.
 *
 * @throws AppError KUBERNETES_REFUSED when there is no such pod or it may not be read,
 * KUBERNETES_UNAVAILABLE when the API server does not answer.
 */
export async function readSnapshot(
  connection: Connection,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  { inCluster, sharesLoopback, configMapNamespace }: ReadOptions,
): Promise<Snapshot> {
  const pod = await readPod(connection, namespace, name);
  const account = serviceAccountNameOf(parsePod(pod));
  const place = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
  const nodeName = nodeNameOf(pod);
  const [namespaceObject, serviceAccount, configMapEntry, webhooks, shims, events] =
    await Promise.all([
      readFound(connection, place, `get namespaces/${namespace}`, (body) => KubeObject.parse(body)),
      account === undefined
        ? ({ status: "missing" } as const)
        : readFound(
            connection,
            `${place}/serviceaccounts/${encodeURIComponent(account)}`,
            `get serviceaccounts/${account} -n ${namespace}`,
            (body) => KubeObject.parse(body),
          ),
      configMapNamespace === undefined
        ? ({ status: "found", value: undefined } as const)
        : readFound(
            connection,
            `/api/v1/namespaces/${encodeURIComponent(configMapNamespace)}/configmaps/${CONFIG_MAP_NAME}`,
            `get configmaps/${CONFIG_MAP_NAME} -n ${configMapNamespace}`,
            (body) => entryIn(body, namespace, account ?? ""),
          ),
      readWebhooks(connection),
      observeShims(connection, nodeName),
      readFound(
        connection,
        `${place}/events?fieldSelector=${encodeURIComponent(`involvedObject.kind=Pod,involvedObject.name=${name}`)}`,
        `list events -n ${namespace}`,
        eventsIn,
      ),
    ]);
  return {
    namespace,
    name,
    pod,
    namespaceObject,
    serviceAccount,
    configMapEntry,
    webhooks,
    shims,
    events,
    inCluster,
    sharesLoopback,
  };
}

async function readPod(connection: Connection, namespace: string, name: string): Promise<unknown> {
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(name)}`;
  const { status, body } = await connection.request({ path, timeoutMs: READ_TIMEOUT_MS });
  if (status === 200) return body;
  const message = `Cannot read pod ${namespace}/${name}: the API server ${refusalText(status, body)}`;
  throw new AppError("KUBERNETES_REFUSED", status, message);
}

async function readWebhooks(connection: Connection): Promise<Found<readonly ObservedWebhook[]>> {
  const webhooks = await readFound(
    connection,
    "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
    "list mutatingwebhookconfigurations",
    identityWebhooksIn,
  );
  if (webhooks.status !== "found") return webhooks;
  const value = await Promise.all(webhooks.value.map((webhook) => observe(connection, webhook)));
  return { status: "found", value };
}

async function observe(connection: Connection, webhook: IdentityWebhook): Promise<ObservedWebhook> {
  const { target, caPem } = webhook;
  if (target.kind === "url") {
    const url = URL.canParse(target.url) ? new URL(target.url) : undefined;
    const address = url && { host: url.hostname.replace(/^\[|\]$/g, ""), port: url.port || 443 };
    const tls =
      address && (await reachWebhook({ host: address.host, port: Number(address.port), caPem }));
    return { ...webhook, readyEndpoints: undefined, tls };
  }
  const { namespace, name, port } = target;
  const readyEndpoints = await readFound(
    connection,
    `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices` +
      `?labelSelector=${encodeURIComponent(`kubernetes.io/service-name=${name}`)}`,
    `list endpointslices.discovery.k8s.io -n ${namespace}`,
    readyIn,
  );
  const service = await readFound(
    connection,
    `/api/v1/namespaces/${namespace}/services/${name}`,
    `get services/${name} -n ${namespace}`,
    (body) => Service.parse(body).spec.clusterIP ?? "",
  );
  if (service.status === "missing") return { ...webhook, readyEndpoints: service, tls: undefined };
  const host = service.status === "found" && service.value !== "None" ? service.value : "";
  const serverName = `${name}.${namespace}.svc`;
  const tls = host === "" ? undefined : await reachWebhook({ host, port, serverName, caPem });
  return { ...webhook, readyEndpoints, tls };
}

function entryIn(body: unknown, namespace: string, name: string): ConfigMapEntry | undefined {
  const text = ConfigMap.parse(body).data?.config ?? "";
  return entryFor(parseConfigMapEntries(text).entries, namespace, name);
}

function readyIn(body: unknown): number {
  const endpoints = Slices.parse(body).items.flatMap((slice) => slice.endpoints ?? []);
  // Absent means ready (Kubernetes API, discovery.k8s.io/v1 EndpointConditions).
  return endpoints.filter(({ conditions }) => conditions?.ready !== false).length;
}

function eventsIn(body: unknown): readonly PodEvent[] {
  return Events.parse(body)
    .items.filter(
      ({ source, message }) =>
        source?.component?.startsWith("irsa-") === true || /token/i.test(message ?? ""),
    )
    .map(({ type, reason, message }) => ({
      type: type ?? "",
      reason: reason ?? "",
      message: message ?? "",
    }));
}
