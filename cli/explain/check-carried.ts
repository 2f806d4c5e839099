import { FINDING_REASONS } from "../../webhook/audit/finding.ts";
import { renewCommand } from "./check-service-account.ts";
import type { ContainerFacts } from "./pod-facts.ts";
import { sentence } from "./sentence.ts";
import type { Snapshot } from "./snapshot.ts";
import { IDENTITY_PAIRS, isFileUnknown, type Standing } from "./standing.ts";
import type { Step } from "./step.ts";
import { tokenAccessOf } from "./token-access.ts";

/** Which containers have the variables of an identity, and whether it is the right one. */
export function checkEnvironment(snapshot: Snapshot, standing: Standing): Step {
  const id = "environment";
  const { facts, finding, carrying } = standing;
  const found = facts.containers.map(describeIdentity).join("; ");
  if (finding !== undefined && finding.reason !== "foreign-volume") {
    const meaning = sentence(FINDING_REASONS[finding.reason]);
    return { id, status: "problem", found, meaning, next: mend(snapshot, standing) };
  }
  if (finding !== undefined && carrying.length === 0) {
    return { id, status: "note", found, meaning: "Something stands where the token belongs." };
  }
  if (carrying.length === 0) {
    const meaning = "The SDKs in the pod find no identity, and fall back to the role of the node.";
    return { id, status: "problem", found, meaning };
  }
  return { id, status: "ok", found };
}

/** Whether the file that the variables name is a token, for which audience and how long. */
export function checkVolume(snapshot: Snapshot, standing: Standing): Step {
  const id = "volume";
  const { finding, carrying, decision } = standing;
  const wanted = decision.identity?.audience;
  const found = carrying.map(describeToken).join("; ") || "no container reads a token";
  if (finding?.reason === "foreign-volume") {
    return {
      id,
      status: "problem",
      found,
      meaning: finding.message,
      next: mend(snapshot, standing),
    };
  }
  if (carrying.length === 0) return { id, status: "problem", found };
  if (carrying.some(({ token, env }) => token === undefined && !isFileUnknown(env))) {
    const meaning = "No projected token is mounted where the variables point.";
    return { id, status: "problem", found, meaning, next: mend(snapshot, standing) };
  }
  if (carrying.some(({ env }) => isFileUnknown(env))) {
    const meaning = "The name of the file comes from a Secret or a ConfigMap.";
    return { id, status: "unknown", found, meaning };
  }
  const other = carrying.find(({ token }) => wanted !== undefined && token?.audience !== wanted);
  if (other !== undefined) {
    const meaning = `A new pod would get a token for ${wanted}; STS takes those that its provider lists.`;
    return { id, status: "note", found, meaning };
  }
  return { id, status: "ok", found };
}

/** Whether the user of each container may read the file of its token. */
export function checkReadable(snapshot: Snapshot, { facts, carrying }: Standing): Step {
  const id = "readable";
  const readers = carrying.flatMap(({ name, runAsUser, token }) =>
    token === undefined ? [] : [{ name, ...tokenAccessOf(facts, runAsUser, token.mode) }],
  );
  if (readers.length === 0) return { id, status: "note", found: "no container reads a token" };
  const found = readers.map(({ name, reason }) => `${name}: ${reason}`).join("; ");
  if (readers.some(({ access }) => access === "unreadable")) {
    const meaning =
      "The container may not read its token: set securityContext.fsGroup in the pod's template.";
    return { id, status: "problem", found, meaning, next: edit(snapshot, facts.controller) };
  }
  if (readers.some(({ access }) => access === "unknown")) return { id, status: "unknown", found };
  return { id, status: "ok", found };
}

const CONTAINER_ENDPOINTS = [
  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
  "AWS_CONTAINER_CREDENTIALS_FULL_URI",
] as const;

/** Static keys win over web identity in every AWS SDK; a profile does in some. */
export function checkOtherCredentials(snapshot: Snapshot, { facts }: Standing): Step {
  const id = "other-credentials";
  // An empty variable is none to the SDKs.
  const having = (key: string): readonly string[] =>
    facts.containers.flatMap(({ name, env }) =>
      env.has(key) && env.get(key) !== "" ? [name] : [],
    );
  const usesWebIdentity = new Set(having("AWS_WEB_IDENTITY_TOKEN_FILE"));
  const keys = having("AWS_ACCESS_KEY_ID");
  if (keys.length > 0) {
    const found = `AWS_ACCESS_KEY_ID in ${keys.join(", ")}`;
    const meaning = "SDKs take static keys before the role: remove them from the pod's template.";
    return { id, status: "problem", found, meaning, next: edit(snapshot, facts.controller) };
  }
  const sources = [...new Set(facts.containers.flatMap(({ envFrom }) => envFrom))];
  if (sources.length > 0) {
    const found = `variables from ${sources.join(", ")}`;
    const meaning = "These are not read here: an AWS_ACCESS_KEY_ID in them wins over the role.";
    const next = `kubectl describe ${sources.join(" ")} -n ${snapshot.namespace}`;
    return { id, status: "unknown", found, meaning, next };
  }
  const endpoints = CONTAINER_ENDPOINTS.flatMap((key) => {
    const names = having(key).filter((name) => usesWebIdentity.has(name));
    return names.length === 0 ? [] : [`${key} in ${names.join(", ")}`];
  });
  if (endpoints.length > 0) {
    const meaning = "The SDK for JavaScript v2 asks a container endpoint before web identity.";
    return { id, status: "note", found: endpoints.join("; "), meaning };
  }
  const profiles = having("AWS_PROFILE");
  if (profiles.length > 0) {
    const found = `AWS_PROFILE in ${profiles.join(", ")}`;
    const meaning = "Some SDKs take a profile of the image's own files before the role.";
    return { id, status: "note", found, meaning };
  }
  return { id, status: "ok", found: "none" };
}

function describeIdentity({ name, env }: ContainerFacts): string {
  const variables = IDENTITY_PAIRS.flat().filter((key) => env.has(key));
  const shown = variables.map((key) => `${key}=${env.get(key) ?? "(from elsewhere)"}`);
  return `${name}: ${shown.join(", ") || "none"}`;
}

function describeToken({ name, token }: ContainerFacts): string {
  if (token === undefined) return `${name}: no token`;
  const { volume, audience, expirationSeconds } = token;
  const life = expirationSeconds === undefined ? "" : `, ${expirationSeconds} s`;
  return `${name}: volume ${volume}, audience ${audience}${life}`;
}

function mend(snapshot: Snapshot, { finding, facts }: Standing): string {
  return finding?.restartHelps === true
    ? renewCommand(snapshot, facts.controller)
    : edit(snapshot, facts.controller);
}

/** Shows what a new pod is made from; a bare pod can only be deleted and made anew. */
function edit({ namespace, name }: Snapshot, controller: string | undefined): string {
  return controller === undefined
    ? `kubectl get pod ${name} -n ${namespace} -o yaml`
    : `kubectl edit ${controller} -n ${namespace}`;
}
