import { podStateOf } from "../../webhook/audit/pod-state.ts";
import { containerSelection } from "../../webhook/pod/container-selection.ts";
import {
  AWS_SKIP_LABEL,
  INJECTION_DISABLED,
  INJECTION_LABEL,
} from "../../webhook/coverage/tier.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Standing } from "./standing.ts";
import type { Step } from "./step.ts";

/** Whether the pod keeps the webhook away: by label, by annotation, or as the mirror of a static pod. */
export function checkOptOut(
  snapshot: Snapshot,
  { settings, pod, facts, covering }: Standing,
): Step {
  const id = "skipped";
  const { namespace, name: podName } = snapshot;
  const { labels, annotations } = pod.metadata ?? {};
  const controller = facts.controller ?? `pod/${podName}`;
  const next = `kubectl get ${controller} -n ${namespace} -o yaml`;
  if (podStateOf(pod).mirror) {
    const meaning = "Kubernetes gives static pods no token of a ServiceAccount.";
    return { id, status: "problem", found: "the mirror of a static pod", meaning };
  }
  for (const key of [INJECTION_LABEL, AWS_SKIP_LABEL]) {
    const value = labels?.[key];
    if (value === undefined || value === null) continue;
    if (key === INJECTION_LABEL && value !== INJECTION_DISABLED) continue;
    const meaning = "This label keeps the webhook away from the pod: remove it from the template.";
    return { id, status: "problem", found: `label ${key}=${value}`, meaning, next };
  }
  const deaf = covering?.find((webhook) => !webhook.takesPod(labels ?? {}));
  if (deaf !== undefined) {
    const found = `objectSelector of ${deaf.name} leaves the pod out`;
    const command = `kubectl get mutatingwebhookconfiguration ${deaf.configuration} -o yaml`;
    return { id, status: "problem", found, next: command };
  }
  const written = ["include-containers", "skip-containers"]
    .map((name) => `${settings.annotationPrefix}/${name}`)
    .flatMap((key) => {
      const value = annotations?.[key];
      return value === undefined || value === null ? [] : [`${key}=${value}`];
    });
  if (written.length === 0) return { id, status: "ok", found: "none" };
  const { isSelected, warnings } = containerSelection(annotations ?? {}, settings.annotationPrefix);
  const found = `annotation ${written.join(", ")}`;
  if (warnings.length > 0) return { id, status: "note", found, meaning: `${warnings.join("; ")}.` };
  const left = facts.containers.filter((container) => isSelected(container));
  if (left.length === facts.containers.length) return { id, status: "ok", found };
  if (left.length === 0) {
    const meaning = "It leaves no container, so none gets an identity.";
    return { id, status: "problem", found, meaning, next };
  }
  const names = left.map((container) => container.name).join(", ");
  return { id, status: "note", found, meaning: `Only these containers get an identity: ${names}.` };
}
