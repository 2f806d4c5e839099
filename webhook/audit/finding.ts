import { quoted } from "../../lib/quoted.ts";
import { mutationOf } from "../mutation/mutation.ts";
import type { Pod } from "../pod/pod.ts";
import {
  carriedOf,
  containersOf,
  fileIsToken,
  withoutIdentity,
  withoutVolumes,
  type ContainerSlot,
} from "./carried.ts";
import { wantedOf, type Wanted } from "./wanted.ts";
import { podStateOf } from "./pod-state.ts";

/** What can be wrong with the identity of a pod that exists, each with what it means. */
export const FINDING_REASONS = {
  "no-token": "it was created without its role: the webhook was not asked or did not answer",
  "annotated-later": "it was created before its ServiceAccount was given the role",
  "foreign-volume": "what stands where its token belongs is no token for the audience",
  incomplete: "it has one variable of the pair only, so no SDK uses either",
  "other-role": "it carries another identity than the one of its ServiceAccount",
} as const;
export type FindingReason = keyof typeof FINDING_REASONS;

/** A pod that does not carry the identity it should. */
export interface Finding {
  readonly reason: FindingReason;
  /** What is wrong, in which containers, and what to do. */
  readonly message: string;
  /** The role that it should carry; undefined where the decision names none. */
  readonly roleArn: string | undefined;
  /** Whether a new pod of the same template would carry it. */
  readonly restartHelps: boolean;
}

/** What the one decision about a pod depends on, and when the ServiceAccount was given its role. */
export type FindingInput = Parameters<typeof mutationOf>[0] & {
  /** Milliseconds since the epoch; see `annotatedAtMs`. Undefined when it is not known. */
  readonly roleSetAtMs?: number | undefined;
};

/**
 * Compares what a pod carries with what the webhook would give it today; undefined when that is the
 * same, and for pods that it does not look at: those that ended or are about to, that opted out by
 * label, or that no kubelet can give a token (mirror pods).
 *
 * What a pod should carry is the decision of the webhook itself, asked about the same pod without
 * the variables of any identity. Skipped containers, conflicts and Windows paths are thereby those
 * of {@link mutationOf}.
 */
export function findingOf({ roleSetAtMs, ...input }: FindingInput): Finding | undefined {
  const state = podStateOf(input.pod);
  if (state.ended || state.optedOut || state.mirror) return undefined;

  const bare = withoutIdentity(input.pod);
  // A refusal in `required` would hide which containers it is about.
  const asked = { ...input, tier: "enabled" } as const;
  const possible = mutationOf({ ...asked, pod: bare });
  // Where nothing is in the way. Only a container that is not given its identity makes it needed.
  const ideal = mutationOf({ ...asked, pod: withoutVolumes(bare) });
  const wanted = wantedOf(ideal.operations);
  const given = wantedOf(possible.operations);

  const lacks: Lack[] = [];
  for (const slot of containersOf(input.pod)) {
    const want = wanted.get(slot.path);
    if (want === undefined) continue;
    const lack = lackOf(input.pod, slot, { want, got: given.get(slot.path) });
    if (lack !== undefined) lacks.push(lack);
  }
  // The first in the order of the table is the one that has to be mended first.
  for (const reason of FOUND) {
    const those = lacks.filter((lack) => lack.reason === reason);
    const [first] = those;
    if (first === undefined) continue;
    const { createdAtMs } = state;
    const older =
      createdAtMs !== undefined && roleSetAtMs !== undefined && createdAtMs < roleSetAtMs;
    const named = reason === "no-token" && older ? "annotated-later" : reason;
    const conflicts = possible.warnings.filter((warning) => !ideal.warnings.includes(warning));
    const restartHelps = lacks.every((lack) => lack.restartHelps);
    return {
      reason: named,
      message: messageOf(named, those, { conflicts, restartHelps, hostNetwork: state.hostNetwork }),
      roleArn: ideal.roleArn,
      restartHelps,
    };
  }
  return undefined;
}

/** Reasons that a container can have, gravest first. */
const FOUND = ["no-token", "foreign-volume", "incomplete", "other-role"] as const;

interface Lack {
  readonly reason: (typeof FOUND)[number];
  readonly container: string;
  /** Half a sentence about this container. */
  readonly detail: string;
  readonly restartHelps: boolean;
}

function lackOf(
  pod: Pod,
  { container }: ContainerSlot,
  { want, got }: { readonly want: Wanted; readonly got: Wanted | undefined },
): Lack | undefined {
  const lack = (reason: Lack["reason"], detail: string, restartHelps: boolean): Lack => ({
    reason,
    container: container.name ?? "",
    detail,
    restartHelps,
  });
  const [subject, file] = want.variables;
  const carried = carriedOf(container);
  const subjectHere = carried.get(subject.name);
  const fileHere = carried.get(file.name);
  if (subjectHere === undefined && fileHere === undefined) {
    const [other] = carried.keys();
    if (other !== undefined) {
      return lack("other-role", `has ${other} where ${subject.name} is wanted`, true);
    }
    if (got === undefined) return lack("foreign-volume", "got no token", false);
    return lack("no-token", `has no ${subject.name}`, true);
  }
  if (subjectHere === undefined || fileHere === undefined) {
    const [there, missing] = subjectHere === undefined ? [file, subject] : [subject, file];
    return lack("incomplete", `has ${there.name} but no ${missing.name}`, false);
  }
  const isOurFile = fileHere.value === file.value;
  const isServed = isOurFile && got !== undefined && !got.mountMissing;
  // A value from elsewhere (`valueFrom`) is not known, so nothing is said about it.
  if (
    !isServed &&
    fileHere.value !== undefined &&
    !fileIsToken(pod, container, fileHere.value, want.audience)
  ) {
    return lack("foreign-volume", `reads ${quoted(fileHere.value)}`, false);
  }
  if (subjectHere.value === undefined || subjectHere.value === subject.value) return undefined;
  const detail = `has ${subject.name} ${quoted(subjectHere.value)}, wanted ${quoted(subject.value)}`;
  // Both variables as the webhook writes them: it was injected when the annotation was another.
  return lack("other-role", detail, isServed);
}

function messageOf(
  reason: FindingReason,
  lacks: readonly Lack[],
  {
    conflicts,
    restartHelps,
    hostNetwork,
  }: {
    readonly conflicts: readonly string[];
    readonly restartHelps: boolean;
    readonly hostNetwork: boolean;
  },
): string {
  const containers = lacks.map(
    ({ container, detail }) => `container ${quoted(container)} ${detail}`,
  );
  const what = [...containers, ...(reason === "foreign-volume" ? conflicts : [])].join("; ");
  const node = hostNetwork
    ? " On the host's network it can reach the role of its node instead."
    : "";
  return `Pod lacks its AWS identity: ${FINDING_REASONS[reason]} (${what}).${node} ${remedyOf(reason, restartHelps)}`;
}

function remedyOf(reason: FindingReason, restartHelps: boolean): string {
  if (restartHelps) return "Delete the pod: one that is created anew gets it.";
  return TEMPLATE_REMEDIES[reason];
}

const OTHER_CONTAINERS =
  "Mend its other containers in the pod's template first, then delete the pod.";
/** What to do where a new pod of the same template would be no better. */
const TEMPLATE_REMEDIES: Readonly<Record<FindingReason, string>> = {
  "no-token": OTHER_CONTAINERS,
  "annotated-later": OTHER_CONTAINERS,
  "foreign-volume": "Rename the volume or move the mount in the pod's template.",
  incomplete: "Remove the variable from the pod's template, or set both.",
  "other-role":
    "Remove the variables from the pod's template, or correct the ServiceAccount's annotation.",
};
