import { parseRoleArn } from "../../lib/arn.ts";
import { MUTATION_REASONS } from "../../webhook/mutation/mutation.ts";
import { renewCommand } from "./check-service-account.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Standing } from "./standing.ts";
import type { Step } from "./step.ts";
import { unreadStep } from "./unread-step.ts";

/** What the webhook would do today with a new pod of the same template, by its own decision. */
export function checkDecision(snapshot: Snapshot, standing: Standing): Step {
  const id = "decision";
  const { decision, covering, facts, finding } = standing;
  const { reason, identity, roleArn, warnings, denial } = decision;
  if (reason === "service-account-unavailable" || reason === "configuration-unavailable") {
    return { id, status: "unknown", found: MUTATION_REASONS[reason] };
  }
  if (denial !== undefined) return { id, status: "problem", found: "refused", meaning: denial };
  const isForShim = reason === "token-added" || reason === "nothing-to-add";
  if (isForShim && identity === undefined) {
    const found = "it would get a token for the metadata shim, and no identity of its own";
    return { id, status: "note", found, meaning: "The shim on its node decides on its role." };
  }
  if (reason !== "injected" && reason !== "nothing-to-add") {
    const meaning = warnings.length === 0 ? {} : { meaning: `${warnings.join("; ")}.` };
    return {
      id,
      status: "problem",
      found: `it would get no identity: ${MUTATION_REASONS[reason]}`,
      ...meaning,
    };
  }
  const role = roleArn ?? "container credentials";
  const found = `it would get ${role}, audience ${identity?.audience ?? ""}`;
  if (roleArn !== undefined && parseRoleArn(roleArn) === undefined) {
    return { id, status: "note", found, meaning: "STS knows no such role." };
  }
  if (covering?.length === 0) {
    const meaning = "But the webhook would not be asked.";
    return { id, status: "note", found, meaning };
  }
  if (finding?.restartHelps === true) {
    const meaning = "Once nothing above stands in the way, a new pod has its identity.";
    return { id, status: "ok", found, meaning, next: renewCommand(snapshot, facts.controller) };
  }
  return { id, status: "ok", found };
}

/** What the audit, and kubelet, have said about the pod. */
export function checkEvents({ events, namespace, name }: Snapshot): Step {
  const id = "events";
  if (events.status !== "found") return unreadStep(id, events, "the Events of the pod");
  const [last] = events.value.toReversed();
  if (last === undefined) return { id, status: "ok", found: "none about its identity" };
  const found = `${last.reason}: ${last.message}`;
  const next = `kubectl events --for pod/${name} -n ${namespace}`;
  return { id, status: "note", found, next };
}
