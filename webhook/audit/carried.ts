import { posix } from "node:path";
import type { Container, Pod } from "../pod/pod.ts";

/** Variables by which a container is given an identity: web identity, and container credentials. */
const IDENTITY_VARIABLES: ReadonlySet<string> = new Set([
  "AWS_ROLE_ARN",
  "AWS_WEB_IDENTITY_TOKEN_FILE",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
]);

const LISTS = ["containers", "initContainers"] as const;

/** A container and where it stands, such as `/spec/containers/0`. */
export interface ContainerSlot {
  readonly path: string;
  readonly container: Container;
}

/** The containers that the webhook looks at when a pod is created. */
export function containersOf({ spec }: Pod): readonly ContainerSlot[] {
  return LISTS.flatMap((list) =>
    (spec?.[list] ?? []).map((container, i) => ({ path: `/spec/${list}/${i}`, container })),
  );
}

/** The identity variables of a container; without a value where that comes from elsewhere. */
export function carriedOf({
  env,
}: Container): ReadonlyMap<string, { readonly value: string | undefined }> {
  const own = (env ?? []).flatMap(({ name, value, valueFrom }) => {
    if (!IDENTITY_VARIABLES.has(name ?? "")) return [];
    const known = valueFrom === undefined || valueFrom === null;
    // An absent value is the empty one to Kubernetes.
    const text = typeof value === "string" ? value : "";
    return [[name ?? "", { value: known ? text : undefined }] as const];
  });
  return new Map(own);
}

/** The same pod as if nobody had given it any identity variable. */
export function withoutIdentity(pod: Pod): Pod {
  return eachContainer(pod, ({ env, ...rest }) => ({
    ...rest,
    env: env?.filter(({ name }) => !IDENTITY_VARIABLES.has(name ?? "")),
  }));
}

/** The same pod as if nothing were mounted anywhere. */
export function withoutVolumes(pod: Pod): Pod {
  const { spec, ...rest } = eachContainer(pod, (container) => ({ ...container, volumeMounts: [] }));
  return { ...rest, spec: { ...spec, volumes: [] } };
}

function eachContainer(pod: Pod, change: (container: Container) => Container): Pod {
  const { spec } = pod;
  return {
    ...pod,
    spec: {
      ...spec,
      containers: spec?.containers?.map(change),
      initContainers: spec?.initContainers?.map(change),
    },
  };
}

/** Whether a file in a container is a service-account token for an audience. */
export function fileIsToken(
  { spec }: Pod,
  { volumeMounts }: Container,
  file: string,
  audience: string,
): boolean {
  const path = posix.normalize(file.replace(/^[A-Za-z]:/, "").replaceAll("\\", "/"));
  return (volumeMounts ?? []).some(({ name, mountPath, subPath, subPathExpr }) => {
    if (subPath || subPathExpr) return false;
    const volume = spec?.volumes?.find((candidate) => candidate.name === name);
    return volume?.projected?.sources?.some(
      ({ serviceAccountToken: token }) =>
        token?.audience === audience && posix.join(mountPath ?? "", token.path ?? "") === path,
    );
  });
}
