import { parseRoleArn } from "../../lib/arn.ts";
import { allowsRole, parseNamespacePolicy } from "../../lib/namespace-policy.ts";
import { validateServiceAccount } from "../../webhook/validation/validate-service-account.ts";
import { sentence } from "./sentence.ts";
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
  const { serviceAccount, namespaceObject, configMapEntry } = snapshot;
  const { roleKey, settings, decision, isServed } = standing;
  if (serviceAccount.status !== "found") return unreadStep(id, serviceAccount, "its annotations");
  const { annotations = {}, labels = {} } = serviceAccount.value.metadata;
  const policy =
    namespaceObject.status === "found"
      ? parseNamespacePolicy(namespaceObject.value.metadata.annotations ?? {}).policy
      : {};
  const mistakes = validateServiceAccount({ annotations, labels }, settings, policy);
  const told = mistakes.length === 0 ? {} : { meaning: mistakes.map(sentence).join(" ") };
  const written = annotations[roleKey];
  const next = annotateCommand(snapshot, standing);
  // What the pod has already does not go away with the annotation.
  const lacking = isServed ? "note" : "problem";
  if (written === undefined || written === "") {
    const found = written === undefined ? `no ${roleKey}` : `${roleKey} is empty`;
    if (decision.identity !== undefined) {
      const { source } = decision.identity;
      const role = decision.roleArn ?? "container credentials";
      return { id, status: "ok", found: `${found}; ${role} from: ${source}`, ...told };
    }
    if (configMapEntry.status === "forbidden" || configMapEntry.status === "failed") {
      return unreadStep(id, configMapEntry, "the ConfigMap of the webhook");
    }
    const meaning = "Nobody asks for an AWS role, so the webhook leaves the pod alone.";
    return { id, status: lacking, found, meaning, ...told, next };
  }
  const found = `${roleKey}=${written}`;
  const roleArn = decision.roleArn ?? written;
  if (settings.roleAccount === undefined && parseRoleArn(roleArn) === undefined) {
    return { id, status: "problem", found: `${roleKey}=${JSON.stringify(written)}`, ...told, next };
  }
  if (!allowsRole(policy, roleArn)) {
    const command = `kubectl get namespace ${snapshot.namespace} -o yaml`;
    return { id, status: lacking, found, ...told, next: command };
  }
  return { id, status: mistakes.length === 0 ? "ok" : "note", found, ...told };
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

function isoOf(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}
