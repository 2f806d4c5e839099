import { z } from "zod";
import type { Pod } from "../pod/pod.ts";

const text = z.string().nullish();
const labels = z.record(z.string(), text).nullish();

const Facts = z.looseObject({
  metadata: z
    .looseObject({
      creationTimestamp: text,
      deletionTimestamp: text,
      labels,
      annotations: labels,
    })
    .nullish(),
  spec: z.looseObject({ hostNetwork: z.boolean().nullish() }).nullish(),
  status: z
    .looseObject({
      phase: text,
      conditions: z.array(z.looseObject({ type: text, status: text })).nullish(),
    })
    .nullish(),
});

/** What the audit asks of a pod beside what it was given. */
export interface PodState {
  /** All its containers have ended for good, or it is being deleted. */
  readonly ended: boolean;
  /** It carries a label that keeps it from the webhook. */
  readonly optedOut: boolean;
  /** The shadow of a static pod, which Kubernetes lets use no ServiceAccount. */
  readonly mirror: boolean;
  readonly hostNetwork: boolean;
  /** Its containers serve: the condition `Ready`. */
  readonly ready: boolean;
  /** Milliseconds since the epoch, whole seconds; undefined in a template. */
  readonly createdAtMs: number | undefined;
}

/** Ours, and that of AWS's webhook, which looks for the key only. */
const OPT_OUT_LABEL = "irsa-anywhere.io/injection";
const AWS_OPT_OUT_LABEL = "eks.amazonaws.com/skip-pod-identity-webhook";
const MIRROR_ANNOTATION = "kubernetes.io/config.mirror";

export function podStateOf(pod: Pod): PodState {
  const { metadata, spec, status } = Facts.parse(pod);
  const { creationTimestamp, deletionTimestamp } = metadata ?? {};
  const own = metadata?.labels ?? {};
  const createdAtMs = Date.parse(creationTimestamp ?? "");
  return {
    ended: Boolean(deletionTimestamp) || ["Succeeded", "Failed"].includes(status?.phase ?? ""),
    optedOut: own[OPT_OUT_LABEL] === "disabled" || own[AWS_OPT_OUT_LABEL] !== undefined,
    mirror: metadata?.annotations?.[MIRROR_ANNOTATION] !== undefined,
    hostNetwork: spec?.hostNetwork === true,
    ready: (status?.conditions ?? []).some(
      (condition) => condition.type === "Ready" && condition.status === "True",
    ),
    createdAtMs: Number.isNaN(createdAtMs) ? undefined : createdAtMs,
  };
}
