import type { MutationSettings } from "../../webhook/mutation/mutation.ts";
import {
  checkEnvironment,
  checkOtherCredentials,
  checkReadable,
  checkVolume,
} from "./check-carried.ts";
import {
  checkConfiguration,
  checkNamespaceLabel,
  checkReachable,
  checkTier,
  checkTrusted,
} from "./check-coverage.ts";
import { checkDecision, checkEvents } from "./check-next-pod.ts";
import { checkOptOut } from "./check-opt-out.ts";
import { checkAge, checkAnnotation, checkServiceAccount } from "./check-service-account.ts";
import { checkShim } from "./check-shim.ts";
import { shimStandingOf } from "./shim-standing.ts";
import type { Snapshot } from "./snapshot.ts";
import { standingOf, type Standing } from "./standing.ts";
import { STEP_TITLES, type Step, type StepId } from "./step.ts";

/** The answer of `irsa explain`: all that was found, and what follows. */
export interface Explanation {
  readonly pod: string;
  /** Whether the pod carries the identity it should, and nothing keeps it from using it. */
  readonly fine: boolean;
  /** One sentence: the first cause, or the role. */
  readonly verdict: string;
  /** The next command to run; undefined when there is nothing to do. */
  readonly next: string | undefined;
  readonly steps: readonly Step[];
}

const CHECKS: readonly ((snapshot: Snapshot, standing: Standing) => Step)[] = [
  checkNamespaceLabel,
  checkTier,
  checkConfiguration,
  checkReachable,
  checkTrusted,
  checkOptOut,
  checkServiceAccount,
  checkAnnotation,
  checkAge,
  checkEnvironment,
  checkVolume,
  checkReadable,
  checkOtherCredentials,
  checkDecision,
];

/** What only matters to a pod that is still to be created. */
const FOR_NEW_PODS: ReadonlySet<StepId> = new Set([
  "namespace-label",
  "configuration",
  "reachable",
  "trusted",
  "skipped",
  "decision",
]);

/** What matters also to a pod that has its role by the metadata shim. */
const FOR_EVERY_POD: ReadonlySet<StepId> = new Set(["service-account", "other-credentials"]);

/**
 * Says why a pod has its identity or not: every check in the order in which an identity comes about.
 * What would keep a new pod from its identity is a note where this one has it already; so is what
 * keeps it from web identity where it has its role by the metadata shim.
 */
export function explainPod(snapshot: Snapshot, settings: MutationSettings): Explanation {
  const standing = standingOf(snapshot, settings);
  const shim = shimStandingOf(snapshot, standing);
  const checked = CHECKS.map((check) => {
    const step = check(snapshot, standing);
    const isPast = standing.isServed && FOR_NEW_PODS.has(step.id);
    const isElsewhere = shim?.reliedOn !== undefined && !FOR_EVERY_POD.has(step.id);
    const isHarmless = step.status === "problem" && (isPast || isElsewhere);
    return isHarmless ? { ...step, status: "note" as const } : step;
  });
  const steps = [...checked, ...checkShim(snapshot, standing, shim), checkEvents(snapshot)];
  const pod = `${snapshot.namespace}/${snapshot.name}`;
  const problems = steps.filter(({ status }) => status === "problem");
  const [cause] = problems;
  if (cause === undefined) {
    return {
      pod,
      fine: true,
      verdict:
        shim?.reliedOn === undefined
          ? `Pod ${pod} has ${identityIn(standing)}.`
          : `Pod ${pod} gets the AWS identity ${shim.reliedOn} from the metadata shim.`,
      next: undefined,
      steps,
    };
  }
  const { id, found } = cause;
  const verdict = `Pod ${pod} has no working AWS identity: ${STEP_TITLES[id]}: ${found}.`;
  const next = problems.find((step) => step.next !== undefined)?.next;
  return { pod, fine: false, verdict, next, steps };
}

function identityIn({ carrying }: Standing): string {
  const roles = new Set(carrying.map(({ env }) => env.get("AWS_ROLE_ARN") ?? ""));
  const known = [...roles].filter((role) => role !== "");
  return known.length === 0 ? "its AWS identity" : `the AWS identity ${known.join(", ")}`;
}
