import { posix } from "node:path";
import { appendOperations, type AddOperation } from "./add-operation.ts";
import type { Identity } from "../identity/identity.ts";
import {
  sessionVariable,
  switchVariables,
  type ExtraVariable,
  type ExtraVariableSettings,
} from "./extra-variables.ts";
import { isWindows } from "../pod/operating-system.ts";
import type { Container, Pod, PodSpec, Volume } from "../pod/pod.ts";
import { quoted } from "../../lib/quoted.ts";
import { deliveryOf, type DeliverySettings, type TokenDelivery } from "./token-delivery.ts";
import { tokenPlaceIn } from "./token-place.ts";
import { mountOf, volumeOperations } from "./token-volume.ts";
import { winningVariablesOf } from "./winning-credentials.ts";

export interface InjectionSettings extends DeliverySettings, ExtraVariableSettings {
  /** Value of the region variables; empty for none. */
  readonly region: string;
}

export interface Injection {
  readonly operations: readonly AddOperation[];
  /** Whether any container is given something, not just the pod its volume. */
  readonly reachesContainer: boolean;
  /** A sentence for each container that cannot be given the identity. */
  readonly conflicts: readonly string[];
  /** A sentence for each container that has credentials which SDKs use instead, or half of a pair. */
  readonly warnings: readonly string[];
}

const STS_VARIABLE = "AWS_STS_REGIONAL_ENDPOINTS";
const CREATED_LISTS = ["containers", "initContainers"] as const;
const RUNNING_LISTS = ["ephemeralContainers"] as const;
const WEB_IDENTITY_PAIR = ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"] as const;
const REGION_VARIABLES = ["AWS_DEFAULT_REGION", "AWS_REGION"] as const;

/**
 * Builds the JSON Patch that gives the containers and initContainers of a pod a token; or its
 * ephemeral containers, which come when its volumes and labels can no longer change.
 *
 * Pure and minimal: it only adds what is missing, so a second patch of a patched pod is empty and
 * nothing that the user wrote changes. A container that has either variable of a pair keeps its own.
 *
 * Nothing ever points the SDK at a file that is not a token of ours. Where the volume's name or the
 * mount's path is taken by something else, the container is left alone and named in `conflicts`.
 */
export function injectionOf(
  pod: Pod,
  {
    identity,
    settings,
    isSelected,
    isRunning = false,
  }: {
    readonly identity: Identity;
    readonly settings: InjectionSettings;
    /** Whether a container is to be given anything. */
    readonly isSelected: (container: Container) => boolean;
    /** Whether this is about the ephemeral containers of a pod that has its token's volume. */
    readonly isRunning?: boolean | undefined;
  },
): Injection {
  const spec = pod.spec ?? {};
  const delivery = deliveryOf(identity, settings);
  const facts: PodFacts = {
    identity,
    settings,
    delivery,
    session: sessionVariable(identity, settings, pod),
    mount: mountOf(delivery),
    volumes: spec.volumes ?? [],
    windows: isWindows(spec),
  };
  const conflicts: string[] = [];
  const warnings: string[] = [];
  const operations: AddOperation[] = [];
  let willBeMounted = false;
  for (const list of isRunning ? RUNNING_LISTS : CREATED_LISTS) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      if (!isSelected(container)) continue;
      const { env, mounts, conflict, warning } = additionsTo(container, facts);
      if (conflict !== undefined) conflicts.push(conflict);
      if (warning !== undefined) warnings.push(warning);
      if (mounts.length > 0) willBeMounted = true;
      appendOperations(operations, `/spec/${list}/${i}/env`, container.env, env);
      appendOperations(
        operations,
        `/spec/${list}/${i}/volumeMounts`,
        container.volumeMounts,
        mounts,
      );
    }
  }
  const isUsed = !isRunning && (willBeMounted || isMounted(spec, delivery));
  return {
    operations: [
      ...(isUsed ? [...labelOperations(pod, delivery), ...volumeOperations(spec, delivery)] : []),
      ...operations,
    ],
    reachesContainer: operations.length > 0,
    conflicts,
    warnings,
  };
}

interface PodFacts {
  readonly identity: Identity;
  readonly settings: InjectionSettings;
  readonly delivery: TokenDelivery;
  readonly session: readonly ExtraVariable[];
  readonly mount: object;
  readonly volumes: readonly Volume[];
  readonly windows: boolean;
}

interface Additions {
  readonly env: readonly object[];
  readonly mounts: readonly object[];
  readonly conflict?: string;
  readonly warning?: string | undefined;
}

const NOTHING: Additions = { env: [], mounts: [] };

function additionsTo(container: Container, pod: PodFacts): Additions {
  const { identity, settings, delivery } = pod;
  const { variable, fileVariableName } = delivery;
  const present = new Set(container.env?.map(({ name }) => name));
  const hasSts = present.has(STS_VARIABLE);
  const hasRegion = REGION_VARIABLES.some((name) => present.has(name));
  const hasIdentity = present.has(variable.name) || present.has(fileVariableName);
  // A container that brings all three is its user's own doing, as in AWS's webhook.
  if (hasSts && hasRegion && hasIdentity) return NOTHING;

  const place = tokenPlaceIn(container, pod.volumes, delivery);
  if ("conflict" in place && !hasIdentity) {
    const { conflict } = place;
    return {
      ...NOTHING,
      conflict: `Container ${quoted(container.name)} gets no identity: ${conflict}`,
    };
  }
  const env: ExtraVariable[] = [];
  if (identity.regionalSts && !hasSts) env.push({ name: STS_VARIABLE, value: "regional" });
  if (settings.region !== "" && !hasRegion) {
    for (const name of REGION_VARIABLES) env.push({ name, value: settings.region });
  }
  const isOurs = !hasIdentity && "directory" in place;
  if (isOurs) {
    const file = posix.join(place.directory, delivery.fileName);
    env.push(variable);
    env.push({ name: fileVariableName, value: pod.windows ? windowsPathOf(file) : file });
  }
  const extra = [...(isOurs ? pod.session : []), ...switchVariables(settings)];
  env.push(...extra.filter(({ name }) => !present.has(name)));
  return {
    env,
    mounts: "directory" in place && place.mount === "missing" ? [pod.mount] : [],
    warning: isOurs
      ? winnerWarning(container, identity)
      : halfWarning(container, identity, present),
  };
}

/** Of web identity: an endpoint of credentials needs no token. `envFrom` may bring the other half. */
function halfWarning(
  { name, envFrom }: Container,
  { method }: Identity,
  present: ReadonlySet<string | null | undefined>,
): string | undefined {
  if (method !== "web-identity" || (envFrom?.length ?? 0) > 0) return undefined;
  const [missing, ...more] = WEB_IDENTITY_PAIR.filter((variable) => !present.has(variable));
  if (missing === undefined || more.length > 0) return undefined;
  const own = WEB_IDENTITY_PAIR.find((variable) => variable !== missing);
  return `Container ${quoted(name)} sets ${own} without ${missing}: SDKs use it only with both`;
}

function winnerWarning(container: Container, { method }: Identity): string | undefined {
  const names = winningVariablesOf(container, method);
  if (names.length === 0) return undefined;
  return `Container ${quoted(container.name)} sets ${names.join(", ")}: SDKs use that instead of the identity`;
}

function isMounted(
  { containers, initContainers }: PodSpec,
  { volumeName }: TokenDelivery,
): boolean {
  return [...(containers ?? []), ...(initContainers ?? [])].some(({ volumeMounts }) =>
    volumeMounts?.some(({ name }) => name === volumeName),
  );
}

/** The label that shows others how the pod gets its credentials; a value that is there stays. */
function labelOperations({ metadata }: Pod, { labelKey }: TokenDelivery): readonly AddOperation[] {
  if (labelKey === undefined) return [];
  if (metadata === undefined || metadata === null) {
    return [{ op: "add", path: "/metadata", value: { labels: { [labelKey]: "enabled" } } }];
  }
  const { labels } = metadata;
  if (labels === undefined || labels === null) {
    return [{ op: "add", path: "/metadata/labels", value: { [labelKey]: "enabled" } }];
  }
  if (Object.hasOwn(labels, labelKey)) return [];
  const key = labelKey.replaceAll("~", "~0").replaceAll("/", "~1");
  return [{ op: "add", path: `/metadata/labels/${key}`, value: "enabled" }];
}

function windowsPathOf(path: string): string {
  const windowsPath = path.replaceAll("/", "\\");
  return /^[A-Za-z]:/.test(windowsPath) ? windowsPath : `C:${windowsPath}`;
}
