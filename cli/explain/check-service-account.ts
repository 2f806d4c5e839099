import { roleArnProblem } from "../../webhook/role-arn-problem.ts";
import { allowsRole, parseNamespacePolicy } from "../../webhook/namespace-policy.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Standing } from "./standing.ts";
import type { Step } from "./step.ts";
import { unreadStep } from "./unread-step.ts";

const ROLE_SHAPE = "arn:aws:iam::ACCOUNT:role/NAME";

/** Whether the ServiceAccount of the pod is there. */
export function checkServiceAccount(snapshot: Snapshot, { serviceAccountName }: Standing): Step {
  const id = "service-account";
  const { namespace, serviceAccount } = snapshot;
  if (serviceAccountName === "") {
    const meaning = "Only a mirror of a static pod has none; no token can be made for it.";
    return { id, status: "problem", found: "the pod names none", meaning };
  }
  const found = `${namespace}/${serviceAccountName}`;
  if (serviceAccount.status === "found") return { id, status: "ok", found };
  if (serviceAccount.status === "missing") {
    const meaning = "It was deleted since the pod was created; no token can be made for it.";
    const next = `kubectl create serviceaccount ${serviceAccountName} -n ${namespace}`;
    return { id, status: "problem", found: `${found}: not there`, meaning, next };
  }
  return unreadStep(id, serviceAccount, `ServiceAccount ${found}`);
}

/** Whether its annotation names a role, and one that can be used. */
export function checkAnnotation(snapshot: Snapshot, standing: Standing): Step {
  const id = "annotation";
  const { serviceAccount, namespaceObject } = snapshot;
  const { roleKey, settings, decision, isServed } = standing;
  // What the pod has already does not go away with the annotation.
  const lacking = isServed ? "note" : "problem";
  if (serviceAccount.status !== "found") return unreadStep(id, serviceAccount, "its annotations");
  const annotations = serviceAccount.value.metadata.annotations ?? {};
  const written = annotations[roleKey];
  const next = annotateCommand(snapshot, standing);
  if (written === undefined) {
    if (decision.identity !== undefined) {
      const role = decision.roleArn ?? "container credentials";
      return {
        id,
        status: "ok",
        found: `no ${roleKey}; from its ${decision.identity.source}: ${role}`,
      };
    }
    const near = nearKeys(annotations);
    const found = near.length === 0 ? `no ${roleKey}` : `no ${roleKey}, but ${near.join(", ")}`;
    const meaning =
      near.length === 0
        ? "Nobody asks for an AWS role: the webhook leaves such pods alone."
        : `The name is misspelt: expected ${roleKey}.`;
    return { id, status: lacking, found, meaning, next };
  }
  const found = `${roleKey}=${written}`;
  const problem = settings.roleAccount === undefined ? roleArnProblem(written) : undefined;
  if (problem !== undefined) {
    const meaning = `It ${problem.problem}: expected ${problem.wanted}.`;
    return { id, status: "problem", found: `${roleKey}=${JSON.stringify(written)}`, meaning, next };
  }
  const policy =
    namespaceObject.status === "found"
      ? parseNamespacePolicy(namespaceObject.value.metadata.annotations ?? {}).policy
      : {};
  if (!allowsRole(policy, decision.roleArn ?? written)) {
    const allowed = (policy.allowedRoles ?? []).join(", ") || "none";
    const meaning = `The namespace does not allow this role; it allows: ${allowed}.`;
    const command = `kubectl get namespace ${snapshot.namespace} -o yaml`;
    return { id, status: lacking, found, meaning, next: command };
  }
  const others = decision.warnings.filter((warning) => warning.startsWith("ServiceAccount "));
  if (others.length > 0) return { id, status: "note", found, meaning: `${others.join("; ")}.` };
  return { id, status: "ok", found };
}

/** Whether the role was set after the pod was created; a webhook only acts on new pods. */
export function checkAge(snapshot: Snapshot, standing: Standing): Step {
  const id = "age";
  const { roleSetAtMs, facts, isServed } = standing;
  const { createdAtMs, controller } = facts;
  if (createdAtMs === undefined || roleSetAtMs === undefined) {
    return { id, status: "unknown", found: "no time of the annotation is noted" };
  }
  const found = `pod ${isoOf(createdAtMs)}, annotation ${isoOf(roleSetAtMs)} or before`;
  if (createdAtMs >= roleSetAtMs || isServed) return { id, status: "ok", found };
  const meaning = "The pod was there first, and the webhook acts on new pods only.";
  return { id, status: "problem", found, meaning, next: renewCommand(snapshot, controller) };
}

/** Makes a new pod of the same template. */
export function renewCommand(
  { namespace, name }: Pick<Snapshot, "namespace" | "name">,
  controller: string | undefined,
): string {
  const restarts = /^(deployment|statefulset|daemonset)\//;
  return controller !== undefined && restarts.test(controller)
    ? `kubectl rollout restart ${controller} -n ${namespace}`
    : `kubectl delete pod ${name} -n ${namespace}`;
}

function annotateCommand(
  { namespace }: Snapshot,
  { serviceAccountName, roleKey }: Standing,
): string {
  return `kubectl annotate serviceaccount ${serviceAccountName} -n ${namespace} ${roleKey}=${ROLE_SHAPE} --overwrite`;
}

/** Keys of annotations that look as if the role's was meant. */
function nearKeys(annotations: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(annotations).filter((key) => /role[-_.]?arn$/i.test(key));
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
