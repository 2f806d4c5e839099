import { parseRoleArn } from "../../lib/arn.ts";
import type { Caller } from "../caller/caller.ts";
import type { RoleSettings } from "./role-settings.ts";

/** Longest `RoleSessionName` of STS, in characters. */
const MAX_LENGTH = 64;

/**
 * A session name as kube2iam or kiam makes it, for trust policies and alarms that look for one;
 * undefined where sessions are named after the pod. What STS does not take becomes `-`.
 *
 * - kiam: the pod's annotation, in kiam's profile always, else its `--session`; after `kiam-`
 * - kube2iam: a hash of the pod's address, and the name of the role
 */
export function legacySessionName(
  { address, podAnnotations }: Pick<Caller, "address" | "podAnnotations">,
  roleArn: string,
  { profile, podKeys, sessionName }: RoleSettings,
): string | undefined {
  const { format, kiamDefault } = sessionName;
  const annotation = profile === "kiam" ? podAnnotations[podKeys.sessionName] : undefined;
  if (annotation) return valid(`kiam-${annotation}`);
  if (format === "pod") return undefined;
  if (format === "kiam") return valid(`kiam-${kiamDefault}`);
  const hash = fnv32a(address).toString(16);
  return valid(`${hash}-${parseRoleArn(roleArn)?.roleName ?? ""}`);
}

function valid(name: string): string {
  return name.replaceAll(/[^\w+=,.@-]/g, "-").slice(0, MAX_LENGTH);
}

/** FNV-1a of 32 bits (RFC 9923). */
function fnv32a(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
