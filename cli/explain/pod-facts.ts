import { posix } from "node:path";
import { z } from "zod";
import { isWindows } from "../../webhook/pod/operating-system.ts";
import { parsePod } from "../../webhook/pod/pod.ts";

const text = z.string().nullish();
const id = z.number().int().nullish();
const SecurityContext = z.looseObject({ runAsUser: id, fsGroup: id }).nullish();
const Container = z.looseObject({
  name: text,
  securityContext: SecurityContext,
  env: z
    .array(z.looseObject({ name: text, value: text, valueFrom: z.unknown().optional() }))
    .nullish(),
  envFrom: z
    .array(
      z.looseObject({
        secretRef: z.looseObject({ name: text }).nullish(),
        configMapRef: z.looseObject({ name: text }).nullish(),
      }),
    )
    .nullish(),
  volumeMounts: z
    .array(z.looseObject({ name: text, mountPath: text, subPath: text, subPathExpr: text }))
    .nullish(),
});
const Volume = z.looseObject({
  name: text,
  projected: z
    .looseObject({
      defaultMode: id,
      sources: z
        .array(
          z.looseObject({
            serviceAccountToken: z
              .looseObject({ audience: text, path: text, expirationSeconds: id })
              .nullish(),
          }),
        )
        .nullish(),
    })
    .nullish(),
});
const Facts = z.looseObject({
  metadata: z
    .looseObject({
      creationTimestamp: text,
      labels: z.record(z.string(), text).nullish(),
      ownerReferences: z
        .array(
          z.looseObject({ kind: z.string(), name: z.string(), controller: z.boolean().nullish() }),
        )
        .nullish(),
    })
    .nullish(),
  spec: z
    .looseObject({
      securityContext: SecurityContext,
      containers: z.array(Container).nullish(),
      initContainers: z.array(Container).nullish(),
      volumes: z.array(Volume).nullish(),
    })
    .nullish(),
});

/** A projected token that a container reads. */
export interface TokenFile {
  readonly file: string;
  readonly volume: string;
  readonly audience: string;
  readonly expirationSeconds: number | undefined;
  /** Permission bits that its volume asks for. */
  readonly mode: number;
}

export interface ContainerFacts {
  readonly name: string;
  /** Undefined where only the image says it. */
  readonly runAsUser: number | undefined;
  /** Values of variables; undefined for one that comes from elsewhere. */
  readonly env: ReadonlyMap<string, string | undefined>;
  /** Secrets and ConfigMaps whose keys become variables, such as `secret/aws`. */
  readonly envFrom: readonly string[];
  /** That of web identity, else that of container credentials. */
  readonly token: TokenFile | undefined;
}

export interface PodFacts {
  /** Milliseconds since the epoch; undefined when the pod says none. */
  readonly createdAtMs: number | undefined;
  readonly isWindows: boolean;
  readonly fsGroup: number | undefined;
  /** The containers, then the init containers. */
  readonly containers: readonly ContainerFacts[];
  /** What makes a new pod of the same template, as kubectl names it; undefined for a bare pod. */
  readonly controller: string | undefined;
}

/** What the API server fills in (Kubernetes API, core/v1 ProjectedVolumeSource). */
const DEFAULT_MODE = 0o644;
const TOKEN_FILES = ["AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];

/** Reads from a pod what `irsa explain` asks of it beside what the webhook does. */
export function podFactsOf(pod: unknown): PodFacts {
  const { metadata, spec } = Facts.parse(pod);
  const { spec: known } = parsePod(pod);
  const createdAtMs = Date.parse(metadata?.creationTimestamp ?? "");
  const podUser = spec?.securityContext?.runAsUser;
  return {
    createdAtMs: Number.isNaN(createdAtMs) ? undefined : createdAtMs,
    isWindows: known ? isWindows(known) : false,
    fsGroup: spec?.securityContext?.fsGroup ?? undefined,
    controller: controllerOf(metadata?.ownerReferences ?? [], metadata?.labels ?? {}),
    containers: [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map((container) => {
      const env = new Map(
        (container.env ?? []).map(({ name, value, valueFrom }) => [
          name ?? "",
          valueFrom === undefined || valueFrom === null ? (value ?? "") : undefined,
        ]),
      );
      return {
        name: container.name ?? "",
        runAsUser: container.securityContext?.runAsUser ?? podUser ?? undefined,
        env,
        envFrom: (container.envFrom ?? []).map(({ secretRef, configMapRef }) =>
          secretRef ? `secret/${secretRef.name ?? ""}` : `configmap/${configMapRef?.name ?? ""}`,
        ),
        token: tokenIn(container, spec?.volumes ?? [], env),
      };
    }),
  };
}

function tokenIn(
  { volumeMounts }: z.infer<typeof Container>,
  volumes: readonly z.infer<typeof Volume>[],
  env: ReadonlyMap<string, string | undefined>,
): TokenFile | undefined {
  const file = TOKEN_FILES.map((name) => env.get(name)).find((value) => value !== undefined);
  if (file === undefined) return undefined;
  const path = unixPath(file);
  for (const { name, mountPath, subPath, subPathExpr } of volumeMounts ?? []) {
    if (subPath || subPathExpr) continue;
    const volume = volumes.find((candidate) => candidate.name === name);
    for (const { serviceAccountToken: token } of volume?.projected?.sources ?? []) {
      if (!token || posix.join(unixPath(mountPath ?? ""), token.path ?? "") !== path) continue;
      return {
        file,
        volume: name ?? "",
        audience: token.audience ?? "",
        expirationSeconds: token.expirationSeconds ?? undefined,
        mode: volume?.projected?.defaultMode ?? DEFAULT_MODE,
      };
    }
  }
  return undefined;
}

/** A path in a Windows container without its drive. */
function unixPath(path: string): string {
  return posix.normalize(path.replace(/^[A-Za-z]:/, "").replaceAll("\\", "/"));
}

function controllerOf(
  owners: readonly {
    readonly kind: string;
    readonly name: string;
    readonly controller?: boolean | null | undefined;
  }[],
  labels: Readonly<Record<string, string | null | undefined>>,
): string | undefined {
  const owner = owners.find(({ controller }) => controller === true);
  if (owner === undefined) return undefined;
  const hash = labels["pod-template-hash"];
  // The ReplicaSet of a Deployment is named after it and the hash of the template.
  if (owner.kind === "ReplicaSet" && hash && owner.name.endsWith(`-${hash}`)) {
    return `deployment/${owner.name.slice(0, -hash.length - 1)}`;
  }
  return `${owner.kind.toLowerCase()}/${owner.name}`;
}
