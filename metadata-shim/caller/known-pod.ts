import { z } from "zod";
import { isLoopback, normaliseAddress } from "./address.ts";
import { HTTP_TOKENS_KEY, httpTokensOf, type HttpTokens } from "./caller.ts";

/** All that is kept of a pod that may call, since the rest of a pod is some thousand bytes. */
export interface KnownPod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Of all families, as {@link normaliseAddress} writes them. */
  readonly addresses: readonly string[];
  /** `status.podIP` as it is written there, to select the pod by. */
  readonly podIp: string;
  /** Those of `keys` in {@link podKeeper}. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly httpTokens: HttpTokens | undefined;
}

const text = z.string().nullish();
const ip = z.looseObject({ ip: text });
const containerStatus = z.looseObject({
  state: z.looseObject({ terminated: z.unknown().optional() }).nullish(),
});
const Pod = z.looseObject({
  metadata: z.looseObject({
    uid: z.string().min(1),
    name: z.string().min(1),
    namespace: z.string().min(1),
    annotations: z.record(z.string(), z.string()).nullish(),
    deletionTimestamp: text,
  }),
  spec: z.looseObject({
    nodeName: text,
    hostNetwork: z.boolean().nullish(),
    serviceAccountName: text,
    serviceAccount: text,
  }),
  status: z.looseObject({
    phase: text,
    podIP: text,
    podIPs: z.array(ip).nullish(),
    hostIP: text,
    hostIPs: z.array(ip).nullish(),
    containerStatuses: z.array(containerStatus).nullish(),
    initContainerStatuses: z.array(containerStatus).nullish(),
  }),
});
type Pod = z.infer<typeof Pod>;

const FINISHED: ReadonlySet<unknown> = new Set(["Succeeded", "Failed"]);
const NO_ANNOTATIONS = Object.freeze({});

/**
 * Makes the function that reduces a Pod to what is kept of it; undefined for one that cannot call
 * from an address of its own:
 *
 * - of another node
 * - on the host's network, or with an address of its host
 * - without an address yet
 * - finished: it keeps its address in its status while another pod may have it
 * - on its way out with no container left that runs
 *
 * A pod that is still starting, or that is told to end and still runs, calls like any other.
 *
 * @param keys Annotations to keep.
 */
export function podKeeper({
  nodeName,
  keys,
}: {
  readonly nodeName: string;
  readonly keys: readonly string[];
}): (object: unknown) => KnownPod | undefined {
  return (object) => {
    const parsed = Pod.safeParse(object);
    if (!parsed.success) return undefined;
    const { metadata, spec, status } = parsed.data;
    if (spec.nodeName !== nodeName || spec.hostNetwork === true) return undefined;
    if (FINISHED.has(status.phase) || isGone(parsed.data)) return undefined;
    const addresses = addressesOf(status);
    if (addresses.length === 0) return undefined;
    const { uid, name, namespace, annotations } = metadata;
    const kept = keys.flatMap((key) => {
      const value = annotations?.[key];
      return value === undefined ? [] : [[key, value] as const];
    });
    return {
      uid,
      name,
      namespace,
      serviceAccount: spec.serviceAccountName || spec.serviceAccount || "",
      addresses,
      podIp: status.podIP ?? "",
      annotations: kept.length === 0 ? NO_ANNOTATIONS : Object.fromEntries(kept),
      httpTokens: httpTokensOf(annotations?.[HTTP_TOKENS_KEY]),
    };
  };
}

function addressesOf({ podIP, podIPs, hostIP, hostIPs }: Pod["status"]): readonly string[] {
  const ofHost = new Set(normalised([hostIP, ...(hostIPs ?? []).map((entry) => entry.ip)]));
  const ofPod = new Set(normalised([podIP, ...(podIPs ?? []).map((entry) => entry.ip)]));
  return [...ofPod].filter((address) => !ofHost.has(address) && !isLoopback(address));
}

function normalised(texts: readonly (string | null | undefined)[]): readonly string[] {
  return texts.flatMap((address) => normaliseAddress(address ?? "") ?? []);
}

function isGone({ metadata, status }: Pod): boolean {
  const { containerStatuses, initContainerStatuses } = status;
  if (!metadata.deletionTimestamp || !containerStatuses?.length) return false;
  // Init containers that ended long ago are terminated too; a sidecar that runs is not.
  return [...containerStatuses, ...(initContainerStatuses ?? [])].every(
    ({ state }) => state?.terminated !== undefined && state.terminated !== null,
  );
}
