import { findingOf, type Finding } from "../../webhook/audit/finding.ts";
import { annotatedAtMs } from "../../webhook/cluster-reads/annotation-time.ts";
import {
  NO_ASSOCIATION,
  UNREAD_ENTRY,
  type Association,
} from "../../webhook/identity/identity-source.ts";
import {
  mutationOf,
  type Mutation,
  type MutationSettings,
  type ServiceAccountState,
} from "../../webhook/mutation/mutation.ts";
import { parseNamespacePolicy } from "../../lib/namespace-policy.ts";
import { parsePod, serviceAccountNameOf, type Container, type Pod } from "../../webhook/pod/pod.ts";
import { AWS_SKIP_LABEL, INJECTION_LABEL, tierOf, type Tier } from "../../webhook/coverage/tier.ts";
import { podFactsOf, type ContainerFacts, type PodFacts } from "./pod-facts.ts";
import type { ObservedWebhook, Snapshot } from "./snapshot.ts";

/** What follows from a snapshot for several checks. */
export interface Standing {
  readonly settings: MutationSettings;
  readonly pod: Pod;
  readonly facts: PodFacts;
  /** Empty when the pod names none. */
  readonly serviceAccountName: string;
  /** Annotation of the role. */
  readonly roleKey: string;
  /** The webhooks that the API server asks about pods of this namespace; undefined when unknown. */
  readonly covering: readonly ObservedWebhook[] | undefined;
  readonly tier: Tier | undefined;
  /** When the role was set, in milliseconds since the epoch; undefined when nothing tells. */
  readonly roleSetAtMs: number | undefined;
  /** What the webhook would do today with a new pod of the same template, were it asked. */
  readonly decision: Mutation;
  /** What is wrong with what the pod carries. */
  readonly finding: Finding | undefined;
  /** Containers that have a whole pair of variables for an identity. */
  readonly carrying: readonly ContainerFacts[];
  /** Whether the pod carries what it should, whatever stands in the way of a new one. */
  readonly isServed: boolean;
}

/** The two pairs of variables by which AWS SDKs find credentials of a pod. */
export const IDENTITY_PAIRS = [
  ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"],
  ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"],
] as const;

/** Compares the pod of a snapshot with the decision of the webhook and the finding of its audit. */
export function standingOf(snapshot: Snapshot, settings: MutationSettings): Standing {
  const { namespaceObject, serviceAccount } = snapshot;
  const facts = podFactsOf(snapshot.pod);
  const pod = parsePod(snapshot.pod);
  const roleKey = `${settings.annotationPrefix}/role-arn`;
  const namespace = namespaceObject.status === "found" ? namespaceObject.value.metadata : undefined;
  const roleSetAtMs =
    serviceAccount.status === "found" ? annotatedAtMs(serviceAccount.value, roleKey) : undefined;
  const covering = coveringOf(snapshot);
  const tier = tierOf(namespace?.labels?.[INJECTION_LABEL]) ?? covering?.[0]?.tier;
  const asked = asIfAsked(pod);
  const { configMapEntry } = snapshot;
  const inputs = {
    serviceAccount: stateOf(snapshot, pod),
    association: {
      ...NO_ASSOCIATION,
      configMap: entryOf(configMapEntry),
    },
    settings,
    policy: parseNamespacePolicy(namespace?.annotations ?? {}).policy,
  };
  const finding = findingOf({ ...inputs, pod: asked, roleSetAtMs });
  const carrying = facts.containers.filter(({ env }) =>
    IDENTITY_PAIRS.some(([subject, file]) => env.has(subject) && env.has(file)),
  );
  return {
    settings,
    pod,
    facts,
    serviceAccountName: serviceAccountNameOf(pod) ?? "",
    roleKey,
    covering,
    tier,
    roleSetAtMs,
    decision: mutationOf({ ...inputs, tier, pod: withoutPairs(asked) }),
    finding,
    carrying,
    isServed:
      finding === undefined &&
      carrying.length > 0 &&
      carrying.every(({ token, env }) => token !== undefined || isFileUnknown(env)),
  };
}

/** Whether the name of the file comes from a Secret or a ConfigMap, so nothing is known of it. */
export function isFileUnknown(env: ContainerFacts["env"]): boolean {
  return IDENTITY_PAIRS.some(([, file]) => env.has(file) && env.get(file) === undefined);
}

function coveringOf(snapshot: Snapshot): readonly ObservedWebhook[] | undefined {
  const { webhooks, namespaceObject, namespace } = snapshot;
  if (webhooks.status !== "found" || namespaceObject.status !== "found") return undefined;
  const labels = namespaceObject.value.metadata.labels ?? {};
  return webhooks.value.filter((webhook) => webhook.takesNamespace(namespace, labels));
}

function entryOf(entry: Snapshot["configMapEntry"]): Association["configMap"] {
  if (entry.status === "found") return entry.value;
  return entry.status === "missing" ? undefined : UNREAD_ENTRY;
}

function stateOf({ serviceAccount }: Snapshot, pod: Pod): ServiceAccountState {
  if (serviceAccount.status === "found") {
    return { status: "found", annotations: serviceAccount.value.metadata.annotations ?? {} };
  }
  if (serviceAccountNameOf(pod) === undefined) return { status: "no-service-account" };
  const isMissing = serviceAccount.status === "missing";
  return { status: isMissing ? "service-account-not-found" : "service-account-unavailable" };
}

/** The pod as if it ran and nobody had opted it out; these are looked at by themselves. */
function asIfAsked(pod: Pod): Pod {
  const { metadata, status: _status, ...rest } = pod;
  const { deletionTimestamp: _deleted, labels, ...kept } = metadata ?? {};
  const own = Object.entries(labels ?? {}).filter(
    ([key]) => key !== AWS_SKIP_LABEL && key !== INJECTION_LABEL,
  );
  return { ...rest, metadata: { ...kept, labels: Object.fromEntries(own) } };
}

/** The pod without the variables of any identity: near to its template before the injection. */
function withoutPairs(pod: Pod): Pod {
  const names: ReadonlySet<string> = new Set(IDENTITY_PAIRS.flat());
  const strip = (container: Container): Container => ({
    ...container,
    env: container.env?.filter(({ name }) => !names.has(name ?? "")),
  });
  const { spec, ...rest } = pod;
  return {
    ...rest,
    spec: {
      ...spec,
      containers: spec?.containers?.map(strip),
      initContainers: spec?.initContainers?.map(strip),
    },
  };
}
