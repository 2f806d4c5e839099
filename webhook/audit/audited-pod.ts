import { z } from "zod";
import type { KubeObject } from "../../lib/kube/kube-object.ts";
import { parsePod, serviceAccountNameOf, type Container, type Pod } from "../pod/pod.ts";
import { containersOf } from "./carried.ts";
import { podStateOf } from "./pod-state.ts";

/** The object that made a pod and makes another when it is gone. */
export interface Controller {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
}

/** All that is kept of a pod. */
export interface AuditedPod {
  readonly uid: string;
  readonly serviceAccount: string;
  readonly controller: Controller | undefined;
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number | undefined;
  readonly isReady: boolean;
  /** What the finding depends on; one object for all pods that agree in it. */
  readonly pod: Pod;
}

const Controlled = z.looseObject({
  metadata: z.looseObject({
    ownerReferences: z
      .array(
        z.looseObject({
          apiVersion: z.string(),
          kind: z.string(),
          name: z.string(),
          uid: z.string(),
          controller: z.boolean().optional(),
        }),
      )
      .optional(),
  }),
});

/** Replicas are listed and made together, so few different pods in a row are enough to share them. */
const MAX_SHARED = 1000;

/**
 * Makes the function that reduces a pod to what is kept of it: nothing of pods that no finding can
 * be about, and of the others only names, AWS variables, mounts, tokens and what says Windows.
 */
export function auditedPodKeeper(
  annotationPrefix: string,
  isCovered: (namespace: string) => boolean,
): (object: KubeObject) => AuditedPod | undefined {
  const shared = new Map<string, Pod>();
  return (object) => {
    const { namespace = "", uid = "" } = object.metadata;
    if (!isCovered(namespace)) return undefined;
    const pod = parsePod(object);
    const { ended, optedOut, mirror, createdAtMs, ready: isReady } = podStateOf(pod);
    const serviceAccount = serviceAccountNameOf(pod);
    if (ended || optedOut || mirror || serviceAccount === undefined) return undefined;

    const reduced = reducedOf(pod, [`${annotationPrefix}/`, OUR_PREFIX]);
    const text = JSON.stringify(reduced);
    const same = shared.get(text) ?? reduced;
    shared.delete(text);
    shared.set(text, same);
    const [oldest] = shared.keys();
    if (shared.size > MAX_SHARED && oldest !== undefined) shared.delete(oldest);
    const controller = controllerOf(object);
    return { uid, serviceAccount, controller, createdAtMs, isReady, pod: same };
  };
}

/** The pod again as {@link findingOf} takes it. */
export function podOf({ pod, createdAtMs }: AuditedPod): Pod {
  if (createdAtMs === undefined) return pod;
  const creationTimestamp = new Date(createdAtMs).toISOString();
  return { ...pod, metadata: { ...pod.metadata, creationTimestamp } };
}

/** The controller among the owners of an object. */
export function controllerOf(object: unknown): Controller | undefined {
  const owners = Controlled.safeParse(object).data?.metadata.ownerReferences ?? [];
  const owner = owners.find(({ controller }) => controller === true);
  if (owner === undefined) return undefined;
  const { apiVersion, kind, name, uid } = owner;
  return { apiVersion, kind, name, uid };
}

type Labels = NonNullable<NonNullable<Pod["spec"]>["nodeSelector"]>;
const OS_LABEL = "kubernetes.io/os";
const OUR_PREFIX = "irsa-anywhere.io/";

function reducedOf(pod: Pod, annotationPrefixes: readonly string[]): Pod {
  const { metadata, spec } = pod;
  const { os, nodeSelector, volumes, serviceAccountName, serviceAccount } = spec ?? {};
  // Affinity may be long and seldom says anything about the operating system.
  const affinity = spec?.affinity;
  const saysOs = JSON.stringify(affinity ?? null).includes(OS_LABEL);
  const annotations = Object.entries(metadata?.annotations ?? {}).filter(([key]) =>
    annotationPrefixes.some((prefix) => key.startsWith(prefix)),
  );
  const lists = containersOf(pod);
  const listed = (list: string): Container[] =>
    lists.filter(({ path }) => path.startsWith(`/spec/${list}/`)).map(reducedContainer);
  return {
    metadata: { annotations: Object.fromEntries(annotations) },
    spec: {
      serviceAccountName: serviceAccountName || serviceAccount,
      ...(spec?.["hostNetwork"] === true ? { hostNetwork: true } : {}),
      ...(os?.name ? { os: { name: os.name } } : {}),
      ...(nodeSelector ? { nodeSelector: osLabelsOf(nodeSelector) } : {}),
      ...(saysOs ? { affinity } : {}),
      volumes: (volumes ?? []).map(({ name, projected }) => {
        const tokens = (projected?.sources ?? []).flatMap(({ serviceAccountToken }) =>
          serviceAccountToken ? [{ serviceAccountToken }] : [],
        );
        const common = { name: neutralName(name) };
        return tokens.length > 0 ? { ...common, projected: { sources: tokens } } : common;
      }),
      containers: listed("containers"),
      initContainers: listed("initContainers"),
    },
  };
}

function osLabelsOf(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => key.endsWith(OS_LABEL)));
}

function reducedContainer({ container }: { readonly container: Container }): Container {
  const { name, env, volumeMounts } = container;
  return {
    name,
    env: (env ?? []).filter((variable) => variable.name?.startsWith("AWS_")),
    volumeMounts: (volumeMounts ?? []).map(({ name: volume, mountPath, subPath, subPathExpr }) => ({
      name: neutralName(volume),
      mountPath,
      ...(subPath ? { subPath } : {}),
      ...(subPathExpr ? { subPathExpr } : {}),
    })),
  };
}

/** The API server's own token volume is named anew in each pod (`kube-api-access-x7k2p`). */
function neutralName(name: string | null | undefined): string {
  return (name ?? "").replace(/^kube-api-access-[a-z0-9]{5}$/, "kube-api-access");
}
