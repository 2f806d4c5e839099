import { httpTokensFor, isOnHostNetwork, nodeNameOf, shimAddressOf } from "./shim-caller.ts";
import type { ShimStanding } from "./shim-standing.ts";
import { HTTP_TOKENS_KEY } from "../../metadata-shim/caller/caller.ts";
import { sentence } from "./sentence.ts";
import type { Snapshot } from "./snapshot.ts";
import type { Standing } from "./standing.ts";
import type { Step } from "./step.ts";
import { unreadStep } from "./unread-step.ts";

/**
 * What the metadata shim does for the pod: nothing is said where there is none, unless nobody could
 * look and the pod has no other identity.
 */
export function checkShim(
  snapshot: Snapshot,
  standing: Standing,
  known: ShimStanding | undefined,
): readonly Step[] {
  const { shims } = snapshot;
  if (known === undefined) {
    const isUnread = shims.status === "forbidden" || shims.status === "failed";
    const isOfNoUse = !isUnread || standing.carrying.length > 0;
    return isOfNoUse ? [] : [unreadStep("shim", shims, "the DaemonSets")];
  }
  return [
    checkReady(snapshot, known),
    checkRole(snapshot, standing, known),
    checkUse(snapshot, standing, known),
  ];
}

/** Whether one runs on the node of the pod, and is ready there. */
function checkReady(snapshot: Snapshot, { shim, settings, reliedOn }: ShimStanding): Step {
  const id = "shim";
  const node = nodeNameOf(snapshot.pod);
  const place = `${shim.namespace}/${shim.name}`;
  const profile = settings === undefined ? "" : `, profile ${settings.profile}`;
  const status = reliedOn === undefined ? "note" : "problem";
  if (node === undefined || shim.onNode === undefined) {
    return { id, status: "note", found: `${place}${profile}; the pod has no node yet` };
  }
  if (shim.onNode.status !== "found") return unreadStep(id, shim.onNode, `the pods of ${place}`);
  const found = `${place}${profile}, ${shim.onNode.value} on ${node}`;
  if (shim.onNode.value === "absent") {
    const meaning = "Pods of this node have no shim: see its nodeSelector and tolerations.";
    const next = `kubectl describe daemonset ${shim.name} -n ${shim.namespace}`;
    return { id, status, found, meaning, next };
  }
  if (shim.onNode.value === "not ready") {
    const meaning =
      "Until it is, pods of this node get a refused connection, or the node's own service before the rules are in.";
    const next = `kubectl get pods -n ${shim.namespace} -o wide --field-selector spec.nodeName=${node}`;
    return { id, status, found, meaning, next };
  }
  const { taint, taints } = shim;
  if (taint !== undefined && taints?.status === "found" && taints.value.includes(taint)) {
    const meaning = "The node keeps its start-up taint: the shim could not take it away.";
    const next = `kubectl describe node ${node}`;
    return { id, status: "note", found: `${found}, taint ${taint}`, meaning, next };
  }
  return { id, status: "ok", found };
}

/** Which role it gives the pod, by its profile, the annotations and the rules of the namespace. */
function checkRole(
  { namespace }: Snapshot,
  { carrying }: Standing,
  { shim, settings, role }: ShimStanding,
): Step {
  const id = "shim-role";
  if (settings === undefined || role === undefined) {
    const found = `the settings of ${shim.namespace}/${shim.name} cannot be read`;
    return { id, status: "unknown", found, meaning: shim.problem ?? "" };
  }
  const { profile, isBaseDiscovered } = settings;
  if (role.status === "allowed") {
    const found = `${role.roleArn}, shown as ${role.shownName}, audience ${role.audience}`;
    return { id, status: "ok", found };
  }
  if (role.status === "none") {
    return { id, status: "note", found: `none in the profile ${profile}` };
  }
  if (role.status === "forbidden" && "reason" in role) {
    if (isBaseDiscovered) {
      const meaning =
        "The base of names is that of the shim's own machine, which is not known here.";
      return { id, status: "unknown", found: role.reason, meaning };
    }
    const next = `kubectl get namespace ${namespace} -o yaml`;
    const status = carrying.length > 0 ? "note" : "problem";
    return { id, status, found: "none", meaning: sentence(role.reason), next };
  }
  if (role.status === "unavailable") return { id, status: "unknown", found: role.reason };
  return unreadStep(id, role, "what the shim decides by");
}

/** Whether the pod asks it at all, and how it has to. */
function checkUse(
  snapshot: Snapshot,
  { carrying, facts }: Standing,
  { settings, reliedOn }: ShimStanding,
): Step {
  const id = "shim-use";
  if (carrying.length > 0) {
    const names = carrying.map(({ name }) => name).join(", ");
    const meaning = "SDKs take the variables first, and never ask the metadata service.";
    return { id, status: "ok", found: `not by ${names}`, meaning };
  }
  const status = reliedOn === undefined ? "note" : "problem";
  if (isOnHostNetwork(snapshot.pod)) {
    const meaning = "No rule sees its requests, which reach the node's own metadata service.";
    return { id, status, found: "the pod is on the host's network", meaning };
  }
  const disabled = facts.containers
    .filter(({ env }) => env.get("AWS_EC2_METADATA_DISABLED")?.toLowerCase() === "true")
    .map(({ name }) => name);
  if (disabled.length > 0) {
    const meaning = "SDKs with this variable never ask the metadata service.";
    return { id, status, found: `AWS_EC2_METADATA_DISABLED in ${disabled.join(", ")}`, meaning };
  }
  const address = shimAddressOf(snapshot.pod);
  if (address === undefined) {
    const meaning = "The shim knows pods that run, by the addresses in their status.";
    return { id, status: "note", found: "the pod has no address of its own", meaning };
  }
  if (settings === undefined) return { id, status: "ok", found: `by ${address}` };
  const { value, by } = httpTokensFor(snapshot, settings);
  const found = `by ${address}, session tokens ${value} by ${by}`;
  if (value === "optional") return { id, status: "ok", found };
  const meaning = `Software that knows no session tokens (IMDSv1) gets 401 without ${HTTP_TOKENS_KEY}: optional.`;
  return { id, status: "ok", found, meaning };
}
