import { SYSTEM_NAMESPACES } from "../../webhook/coverage/webhook-configurations.ts";
import { INJECTION_DISABLED, INJECTION_LABEL, tierOf } from "../../webhook/coverage/tier.ts";
import { describeTarget } from "./identity-webhook.ts";
import { isLoopback } from "../../lib/loopback.ts";
import { unreadStep } from "./unread-step.ts";
import type { ObservedWebhook, Snapshot } from "./snapshot.ts";
import type { Standing } from "./standing.ts";
import type { Step } from "./step.ts";

/** Whether the API server asks a webhook about pods of the namespace at all. */
export function checkNamespaceLabel(snapshot: Snapshot, { covering }: Standing): Step {
  const id = "namespace-label";
  const { namespace, namespaceObject } = snapshot;
  if (namespaceObject.status !== "found") return unreadStep(id, namespaceObject, "the namespace");
  const label = namespaceObject.value.metadata.labels?.[INJECTION_LABEL];
  const found = label === undefined ? `no ${INJECTION_LABEL}` : `${INJECTION_LABEL}=${label}`;
  const next = `kubectl label namespace ${namespace} ${INJECTION_LABEL}=enabled --overwrite`;
  if (covering !== undefined && covering.length > 0) {
    const meaning = "A webhook takes the pods of all namespaces that are not labelled otherwise.";
    return { id, status: "ok", found, ...(tierOf(label) === undefined ? { meaning } : {}) };
  }
  if (SYSTEM_NAMESPACES.includes(namespace)) {
    const meaning = "The webhook never touches the namespaces of Kubernetes itself.";
    return { id, status: "problem", found: `namespace ${namespace}`, meaning };
  }
  if (tierOf(label) !== undefined) return { id, status: "ok", found };
  if (covering === undefined && label === undefined) {
    const meaning = "Whether a webhook takes namespaces without the label could not be read.";
    return { id, status: "unknown", found, meaning };
  }
  const meaning =
    label === undefined || label === INJECTION_DISABLED
      ? "No webhook is asked about the pods of this namespace."
      : `The value ${JSON.stringify(label)} means nothing: expected enabled or required.`;
  return { id, status: "problem", found, meaning, next };
}

/** How much the namespace relies on the webhook. */
export function checkTier({ namespaceObject }: Snapshot, { tier, covering = [] }: Standing): Step {
  const id = "tier";
  if (namespaceObject.status !== "found") return unreadStep(id, namespaceObject, "the namespace");
  if (tier === undefined) {
    const meaning = "Pods start without an identity, and nobody is told.";
    return { id, status: "note", found: "none", meaning };
  }
  const [webhook] = covering;
  const policy = webhook?.failurePolicy ?? (tier === "required" ? "Fail" : "Ignore");
  const meaning = `While the webhook does not answer, ${fateOf(policy)}.`;
  return { id, status: "ok", found: `${tier}, failurePolicy ${policy}`, meaning };
}

/** Whether there is a webhook for identities, and whether it takes these pods. */
export function checkConfiguration({ webhooks }: Snapshot, { covering, tier }: Standing): Step {
  const id = "configuration";
  const next = "kubectl get mutatingwebhookconfigurations";
  if (webhooks.status !== "found") return unreadStep(id, webhooks, "the webhook configurations");
  if (webhooks.value.length === 0) {
    const found = "no MutatingWebhookConfiguration of irsa-anywhere or of AWS";
    const meaning = "The API server knows no webhook that gives pods an identity: install it.";
    return { id, status: "problem", found, meaning, next };
  }
  const shown = covering === undefined || covering.length === 0 ? webhooks.value : covering;
  const found = shown.map(({ configuration, name }) => `${configuration} (${name})`).join(", ");
  const deaf = shown.find(({ asksForPods }) => !asksForPods);
  if (deaf !== undefined) {
    const meaning = `The rules of ${deaf.name} lack CREATE of pods, so it is never asked.`;
    const yaml = `kubectl get mutatingwebhookconfiguration ${deaf.configuration} -o yaml`;
    return { id, status: "problem", found, meaning, next: yaml };
  }
  if (covering?.length === 0 && tier !== undefined) {
    const meaning = "None of them takes this namespace: see namespaceSelector and matchConditions.";
    return { id, status: "problem", found, meaning, next: `${next} -o yaml` };
  }
  if (covering !== undefined && covering.length > 1) {
    const meaning = "Several webhooks give this pod an identity; the first in order decides.";
    return { id, status: "note", found, meaning, next };
  }
  return { id, status: "ok", found };
}

/** Whether anything answers where the API server sends its reviews. */
export function checkReachable(snapshot: Snapshot, standing: Standing): Step {
  const id = "reachable";
  const webhooks = webhooksToAsk(snapshot, standing);
  if (webhooks.length === 0) return { id, status: "unknown", found: "no webhook to look at" };
  return worst(webhooks.map((webhook) => reachabilityOf(webhook, snapshot)));
}

/** Whether the certificate that is served is one that `caBundle` verifies. */
export function checkTrusted(snapshot: Snapshot, standing: Standing): Step {
  const id = "trusted";
  const webhooks = webhooksToAsk(snapshot, standing);
  if (webhooks.length === 0) return { id, status: "unknown", found: "no webhook to look at" };
  return worst(webhooks.map((webhook) => trustOf(webhook, snapshot)));
}

/** Those that take the namespace; where none does, those that there are. */
function webhooksToAsk(
  { webhooks }: Snapshot,
  { covering = [] }: Standing,
): readonly ObservedWebhook[] {
  if (covering.length > 0) return covering;
  return webhooks.status === "found" ? webhooks.value : [];
}

function reachabilityOf(webhook: ObservedWebhook, snapshot: Snapshot): Step {
  const id = "reachable";
  const { target, tls, readyEndpoints } = webhook;
  const place = describeTarget(target);
  if (target.kind === "url") {
    if (tls === undefined) {
      return { id, status: "problem", found: place, meaning: "This is no URL of a webhook." };
    }
    if (isLoopback(target.url) && !snapshot.sharesLoopback) {
      const meaning = "This is the machine of the API server, which cannot be looked at from here.";
      return { id, status: "unknown", found: place, meaning };
    }
    if (tls.status !== "unreachable") return { id, status: "ok", found: `${place} answers` };
    const found = `${place}: ${tls.problem}`;
    const meaning = `Nothing answers there, so ${fateOf(webhook.failurePolicy)}.`;
    return { id, status: "problem", found, meaning, next: `curl -vk ${target.url}` };
  }
  const pods = `kubectl get endpointslices -n ${target.namespace} -l kubernetes.io/service-name=${target.name}`;
  if (readyEndpoints === undefined || readyEndpoints.status === "missing") {
    const meaning = "The webhook configuration names a Service that does not exist.";
    const next = `kubectl get services -n ${target.namespace}`;
    return { id, status: "problem", found: `no ${place}`, meaning, next };
  }
  if (readyEndpoints.status !== "found") return unreadStep(id, readyEndpoints, place);
  const found = `${place}: ready endpoints: ${readyEndpoints.value}`;
  if (readyEndpoints.value === 0) {
    const meaning = `No pod of the webhook is ready, so ${fateOf(webhook.failurePolicy)}.`;
    return { id, status: "problem", found, meaning, next: pods };
  }
  if (snapshot.inCluster && tls?.status === "unreachable") {
    const meaning = `Its address does not answer: ${tls.problem}.`;
    return { id, status: "problem", found, meaning, next: pods };
  }
  return { id, status: "ok", found };
}

function trustOf(webhook: ObservedWebhook, snapshot: Snapshot): Step {
  const id = "trusted";
  const { configuration, target, tls, caPem } = webhook;
  const place = describeTarget(target);
  const authority = caPem === "" ? "the roots of this machine" : "caBundle";
  if (tls?.status === "trusted") {
    const until = new Date(tls.expiresAtMs).toISOString();
    return { id, status: "ok", found: `${place}: ${authority} verifies it until ${until}` };
  }
  // From outside, the address of a Service is that of anybody.
  const isItself =
    target.kind === "url" ? !isLoopback(target.url) || snapshot.sharesLoopback : snapshot.inCluster;
  if (tls?.status === "untrusted" && isItself) {
    const found = `${place}: ${tls.problem}`;
    const meaning = `The API server refuses the connection, so ${fateOf(webhook.failurePolicy)}: put the authority of the certificate into caBundle.`;
    const next = `kubectl get mutatingwebhookconfiguration ${configuration} -o jsonpath='{.webhooks[*].clientConfig.caBundle}'`;
    return { id, status: "problem", found, meaning, next };
  }
  const meaning =
    target.kind === "url"
      ? "There was no connection to look at its certificate."
      : "The address of a Service is reached from inside the cluster only.";
  return { id, status: "unknown", found: `${place}: its certificate was not seen`, meaning };
}

/** What becomes of pods that the webhook is not asked about. */
function fateOf(failurePolicy: string): string {
  return failurePolicy === "Fail" ? "pods are refused" : "pods start without an identity";
}

const RANKS = ["problem", "unknown", "note", "ok"] as const;

/** The gravest of several steps. */
function worst(steps: readonly Step[]): Step {
  const [first] = steps.toSorted((a, b) => RANKS.indexOf(a.status) - RANKS.indexOf(b.status));
  if (first === undefined) throw new Error("no steps");
  return first;
}
