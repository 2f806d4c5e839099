import { posix } from "node:path";
import type { Identity } from "./identity.ts";
import { quoted } from "./quoted.ts";
import type { Container, PodSpec, Volume, VolumeMount } from "./pod.ts";

/** One RFC 6902 operation. Only "add" is ever needed. */
export interface AddOperation {
  readonly op: "add";
  /** An RFC 6901 pointer. It consists of field names and indexes, so nothing needs escaping. */
  readonly path: string;
  readonly value: unknown;
}

export interface InjectionSettings {
  /** Where the token volume is mounted. */
  readonly tokenMountPath: string;
  /** Value of the region variables; empty for none. */
  readonly region: string;
}

export interface Injection {
  readonly operations: readonly AddOperation[];
  /** Whether any container is given something, not just the pod its volume. */
  readonly reachesContainer: boolean;
  /** A sentence for each container that cannot be given the identity. */
  readonly conflicts: readonly string[];
}

/** Names that AWS's webhook uses too, so that both recognise a pod that is already done. */
export const TOKEN_VOLUME_NAME = "aws-iam-token";
const TOKEN_FILE_NAME = "token";

const STS_VARIABLE = "AWS_STS_REGIONAL_ENDPOINTS";
const REGION_VARIABLES = ["AWS_DEFAULT_REGION", "AWS_REGION"] as const;
const IDENTITY_VARIABLES = ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"] as const;

/**
 * Builds the JSON Patch that gives the containers and initContainers of a pod a web identity token.
 *
 * Pure and minimal: it only adds what is missing, so a second patch of a patched pod is empty and
 * nothing that the user wrote changes. A container that has either variable of a pair keeps its own.
 *
 * Nothing ever points the SDK at a file that is not a token of ours. Where the volume's name or the
 * mount's path is taken by something else, the container is left alone and named in `conflicts`.
 */
export function injectionOf(
  spec: PodSpec,
  {
    identity,
    settings,
    skipped,
  }: {
    readonly identity: Identity;
    readonly settings: InjectionSettings;
    readonly skipped: ReadonlySet<string>;
  },
): Injection {
  const pod: PodFacts = {
    identity,
    settings,
    volumes: spec.volumes ?? [],
    windows: isWindows(spec),
  };
  const conflicts: string[] = [];
  const operations: AddOperation[] = [];
  let willBeMounted = false;
  for (const list of ["containers", "initContainers"] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      if (skipped.has(container.name ?? "")) continue;
      const { env, mounts, conflict } = additionsTo(container, pod);
      if (conflict !== undefined) conflicts.push(conflict);
      if (mounts.length > 0) willBeMounted = true;
      append(operations, `/spec/${list}/${i}/env`, container.env, env);
      append(operations, `/spec/${list}/${i}/volumeMounts`, container.volumeMounts, mounts);
    }
  }
  return {
    operations: [...volumeOperations(spec, identity, willBeMounted), ...operations],
    reachesContainer: operations.length > 0,
    conflicts,
  };
}

interface PodFacts {
  readonly identity: Identity;
  readonly settings: InjectionSettings;
  readonly volumes: readonly Volume[];
  readonly windows: boolean;
}

interface Additions {
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly mounts: readonly object[];
  readonly conflict?: string;
}

const NOTHING: Additions = { env: [], mounts: [] };

function additionsTo(container: Container, pod: PodFacts): Additions {
  const present = new Set(container.env?.map(({ name }) => name));
  const hasSts = present.has(STS_VARIABLE);
  const hasRegion = REGION_VARIABLES.some((name) => present.has(name));
  const hasIdentity = IDENTITY_VARIABLES.some((name) => present.has(name));
  // A container that brings all three is its user's own doing, as in AWS's webhook.
  if (hasSts && hasRegion && hasIdentity) return NOTHING;

  const token = tokenFor(container, pod);
  if ("conflict" in token && !hasIdentity) {
    const { conflict } = token;
    return {
      ...NOTHING,
      conflict: `Container ${quoted(container.name)} gets no identity: ${conflict}`,
    };
  }
  const { identity, settings } = pod;
  const env = [];
  if (identity.regionalSts && !hasSts) env.push({ name: STS_VARIABLE, value: "regional" });
  if (settings.region !== "" && !hasRegion) {
    for (const name of REGION_VARIABLES) env.push({ name, value: settings.region });
  }
  if (!hasIdentity && "directory" in token) {
    const [roleVariable, fileVariable] = IDENTITY_VARIABLES;
    const file = posix.join(token.directory, TOKEN_FILE_NAME);
    env.push({ name: roleVariable, value: identity.roleArn });
    env.push({ name: fileVariable, value: pod.windows ? windowsPathOf(file) : file });
  }
  const mount = {
    name: TOKEN_VOLUME_NAME,
    mountPath: settings.tokenMountPath,
    readOnly: true,
  };
  return { env, mounts: "directory" in token && token.mount === "missing" ? [mount] : [] };
}

/** Where a container finds the token, or what is in the way. */
type Token =
  | { readonly directory: string; readonly mount: "missing" | "present" }
  | { readonly conflict: string };

function tokenFor({ volumeMounts }: Container, { identity, settings, volumes }: PodFacts): Token {
  const { audience } = identity;
  const isToken = (volume: Volume | undefined): boolean =>
    volume !== undefined && isTokenVolume(volume, audience);
  const volumeNamed = (wanted: string): Volume | undefined =>
    volumes.find(({ name }) => name === wanted);

  const ours = volumeNamed(TOKEN_VOLUME_NAME);
  const isForeign = ours !== undefined && !isToken(ours);
  const foreign = { conflict: `volume "${TOKEN_VOLUME_NAME}" is no token for ${quoted(audience)}` };
  const mounts = volumeMounts ?? [];
  const mount = mounts.find(({ name }) => name === TOKEN_VOLUME_NAME);
  const directory = mount === undefined ? settings.tokenMountPath : (mount.mountPath ?? "");
  const [other, ...more] = mounts.filter(
    (candidate) => candidate !== mount && isAtOrBelow(candidate.mountPath, directory),
  );
  const taken = {
    conflict: `volume ${quoted(other?.name)} is mounted at ${quoted(other?.mountPath)}`,
  };
  if (mount !== undefined) {
    if (isForeign) return foreign;
    if (isPartial(mount)) {
      return {
        conflict: `volume "${TOKEN_VOLUME_NAME}" is mounted in part at ${quoted(directory)}`,
      };
    }
    return other === undefined ? { directory, mount: "present" } : taken;
  }
  if (other === undefined) return isForeign ? foreign : { directory, mount: "missing" };
  const serves =
    more.length === 0 &&
    normalized(other.mountPath) === normalized(directory) &&
    !isPartial(other) &&
    isToken(volumeNamed(other.name ?? ""));
  return serves ? { directory, mount: "present" } : taken;
}

function isPartial({ subPath, subPathExpr }: VolumeMount): boolean {
  return Boolean(subPath) || Boolean(subPathExpr);
}

function isAtOrBelow(path: string | null | undefined, directory: string): boolean {
  return `${normalized(path)}/`.startsWith(`${normalized(directory)}/`);
}

function normalized(path: string | null | undefined): string {
  return posix.normalize(path ?? "").replace(/\/+$/, "");
}

/** Whether its file `token` is a service-account token that STS takes for this audience. */
function isTokenVolume({ projected }: Volume, audience: string): boolean {
  const sources = projected?.sources ?? [];
  return sources.some(
    ({ serviceAccountToken: token }) =>
      token?.path === TOKEN_FILE_NAME && token.audience === audience,
  );
}

/** The volume, in front as AWS's webhook puts it, when a container mounts it and it is not there. */
function volumeOperations(
  { volumes, containers, initContainers }: PodSpec,
  { audience, expirationSeconds }: Identity,
  willBeMounted: boolean,
): readonly AddOperation[] {
  if (volumes?.some(({ name }) => name === TOKEN_VOLUME_NAME) === true) return [];
  const isMounted = [...(containers ?? []), ...(initContainers ?? [])].some(({ volumeMounts }) =>
    volumeMounts?.some(({ name }) => name === TOKEN_VOLUME_NAME),
  );
  if (!isMounted && !willBeMounted) return [];
  const serviceAccountToken = { audience, expirationSeconds, path: TOKEN_FILE_NAME };
  const volume = { name: TOKEN_VOLUME_NAME, projected: { sources: [{ serviceAccountToken }] } };
  return volumes === undefined || volumes === null
    ? [{ op: "add", path: "/spec/volumes", value: [volume] }]
    : [{ op: "add", path: "/spec/volumes/0", value: volume }];
}

function append(
  operations: AddOperation[],
  path: string,
  list: readonly unknown[] | null | undefined,
  values: readonly unknown[],
): void {
  if (values.length === 0) return;
  if (list === undefined || list === null) operations.push({ op: "add", path, value: values });
  else for (const value of values) operations.push({ op: "add", path: `${path}/-`, value });
}

function isWindows({ nodeSelector, os }: PodSpec): boolean {
  return (
    nodeSelector?.["beta.kubernetes.io/os"] === "windows" ||
    nodeSelector?.["kubernetes.io/os"] === "windows" ||
    os?.name === "windows"
  );
}

function windowsPathOf(path: string): string {
  return `C:${path.replaceAll("/", "\\")}`;
}
