import { parseRoleArn, partitionOfRegion } from "../../lib/arn.ts";
import { parseGoBoolean, parseGoInteger } from "../../lib/go-values.ts";
import { composeRoleArn } from "../identity/compose-role-arn.ts";
import {
  MAX_TOKEN_EXPIRATION_SECONDS,
  MIN_TOKEN_EXPIRATION_SECONDS,
  type IdentityDefaults,
} from "../identity/identity.ts";
import {
  allowsRole,
  POLICY_KEYS,
  POLICY_PREFIX,
  type NamespacePolicy,
} from "../../lib/namespace-policy.ts";
import { nearestName } from "./nearest-name.ts";
import type { Annotations } from "../pod/pod.ts";
import { quoted } from "../../lib/quoted.ts";
import { roleArnProblem } from "../identity/role-arn-problem.ts";
import { INJECTION_LABEL } from "../coverage/tier.ts";

/** What the judgement depends on beside the object. */
export interface ValidationSettings extends Pick<
  IdentityDefaults,
  "annotationPrefix" | "roleAccount" | "audience"
> {
  /** Empty when the webhook does not know it. */
  readonly region: string;
}

/** An object as far as it is judged. */
export interface ValidatedObject {
  readonly annotations: Annotations;
  readonly labels: Annotations;
}

const KNOWN_NAMES = ["role-arn", "audience", "token-expiration", "sts-regional-endpoints"] as const;
const TELLING_NAMES = ["role-arn", "sts-regional-endpoints"] as const;
const POD_NAMES: readonly string[] = ["skip-containers", "include-containers"];
const MAX_NAME_SLIPS = 2;
const MAX_DOMAIN_SLIPS = 4;
const AWS_PREFIX = "eks.amazonaws.com";

/**
 * Finds the mistakes in a ServiceAccount's annotations, one sentence each: what is wrong, and what to
 * write instead. Nothing that the webhook would use as it is meant is a mistake.
 */
export function validateServiceAccount(
  { annotations, labels }: ValidatedObject,
  settings: ValidationSettings,
  policy: NamespacePolicy = {},
): readonly string[] {
  const prefix = settings.annotationPrefix;
  const value = (name: (typeof KNOWN_NAMES)[number]): readonly [string, string | undefined] => [
    `${prefix}/${name}`,
    annotations[`${prefix}/${name}`] ?? undefined,
  ];
  return [
    ...Object.keys(annotations).flatMap((key) => keyProblem(key, prefix)),
    ...(INJECTION_LABEL in labels
      ? [
          `label ${INJECTION_LABEL} is not read on a ServiceAccount: label its namespace or its pods`,
        ]
      : []),
    ...roleProblems(value("role-arn"), settings, policy),
    ...audienceProblems(value("audience"), settings.audience),
    ...expirationProblems(value("token-expiration")),
    ...booleanProblems(value("sts-regional-endpoints")),
  ];
}

/** Keys that are almost those that are read, or are read elsewhere. */
function keyProblem(key: string, prefix: string): readonly string[] {
  const slash = key.indexOf("/");
  const domain = key.slice(0, Math.max(slash, 0));
  const name = key.slice(slash + 1);
  if (key === "iam.amazonaws.com/role") {
    return [
      `annotation ${key} is kube2iam's, for pods: write ${prefix}/role-arn with the role's ARN`,
    ];
  }
  if (domain === prefix) return nameProblem(key, name, prefix);
  if (domain === POLICY_PREFIX) return policyKeyProblem(key, name, prefix);
  const meant = nearestName(name, KNOWN_NAMES, MAX_NAME_SLIPS);
  if (meant === undefined || !isRelated(domain, name, prefix)) return [];
  return [`annotation ${key} is not read: write ${prefix}/${meant}`];
}

function nameProblem(key: string, name: string, prefix: string): readonly string[] {
  if (KNOWN_NAMES.some((known) => known === name)) return [];
  if (POD_NAMES.includes(name)) {
    return [`annotation ${key} is not read on a ServiceAccount: write it on the pod`];
  }
  const meant =
    nearestName(name, KNOWN_NAMES, MAX_NAME_SLIPS) ??
    (/^role/i.test(name) ? "role-arn" : undefined);
  if (meant !== undefined) return [`annotation ${key} is not read: write ${prefix}/${meant}`];
  return [`annotation ${key} is not read: known are ${KNOWN_NAMES.join(", ")}`];
}

function policyKeyProblem(key: string, name: string, prefix: string): readonly string[] {
  if (Object.values(POLICY_KEYS).some((known) => known === key)) {
    return [`annotation ${key} is not read on a ServiceAccount: write it on the namespace`];
  }
  const meant = nearestName(name, KNOWN_NAMES, MAX_NAME_SLIPS);
  return meant === undefined ? [] : [`annotation ${key} is not read: write ${prefix}/${meant}`];
}

/** Whether a key was meant to have the prefix; a fleet that moves may carry AWS's beside its own. */
function isRelated(domain: string, name: string, prefix: string): boolean {
  if (domain === AWS_PREFIX) return false;
  if (domain !== "" && nearestName(domain, [prefix], MAX_DOMAIN_SLIPS) !== undefined) return true;
  // Under any other domain, or none, only what says AWS by itself.
  const isOfAws = domain === "" || /(?:^|[.-])(?:eks|aws|amazon|amazonaws)(?:[.-]|$)/.test(domain);
  return isOfAws && nearestName(name, TELLING_NAMES, MAX_NAME_SLIPS) !== undefined;
}

type Written = readonly [key: string, written: string | undefined];

function roleProblems(
  [key, written]: Written,
  { roleAccount, region: ownRegion }: ValidationSettings,
  policy: NamespacePolicy,
): readonly string[] {
  if (written === undefined) return [];
  const isName = roleAccount !== undefined && written !== "" && !written.includes("arn:");
  const roleArn = isName ? composeRoleArn(written, roleAccount).roleArn : written;
  const role = parseRoleArn(roleArn);
  if (role === undefined) {
    const { problem, wanted } = roleArnProblem(written) ?? { problem: "is no role", wanted: "" };
    const shown = written === "" ? "" : ` ${quoted(written)}`;
    return [`annotation ${key}${shown} ${problem}: write ${wanted}`];
  }
  const region = policy.defaultRegion ?? ownRegion;
  return [
    ...partitionProblem(`annotation ${key}`, role.partition, region),
    ...(allowsRole(policy, roleArn)
      ? []
      : [
          `annotation ${key} ${quoted(written)} is not in the namespace's ` +
            `${POLICY_KEYS.allowedRoles}: use a role that is, or have it added there`,
        ]),
  ];
}

/** A role of one partition cannot be had from the STS of another. */
export function partitionProblem(
  subject: string,
  partition: string,
  region: string,
): readonly string[] {
  if (region === "" || partition === partitionOfRegion(region)) return [];
  const wanted = partitionOfRegion(region);
  return [
    `${subject} is a role of partition ${partition}, but region ${region} is in ${wanted}: ` +
      `write arn:${wanted}:iam::ACCOUNT:role/NAME`,
  ];
}

function audienceProblems([key, written]: Written, fallback: string): readonly string[] {
  if (written === undefined) return [];
  if (written === "") {
    return [`annotation ${key} is empty, ${fallback} is used: write an audience or remove it`];
  }
  if (/\s/.test(written)) {
    const bare = written.replaceAll(/\s+/g, "");
    const wanted = /^[\x21-\x7e]{1,128}$/.test(bare) ? bare : fallback;
    return [`annotation ${key} ${quoted(written)} has white space in it: write ${wanted}`];
  }
  return [];
}

function expirationProblems([key, written]: Written): readonly string[] {
  if (written === undefined) return [];
  const subject = `annotation ${key} ${quoted(written)}`;
  const seconds = parseGoInteger(written);
  if (seconds === undefined) {
    return [`${subject} is no number of seconds and not used: write 86400 for a day`];
  }
  if (seconds < MIN_TOKEN_EXPIRATION_SECONDS) {
    return [`${subject} is raised to ${MIN_TOKEN_EXPIRATION_SECONDS}, the least Kubernetes allows`];
  }
  if (seconds > MAX_TOKEN_EXPIRATION_SECONDS) {
    const most = MAX_TOKEN_EXPIRATION_SECONDS;
    return [`${subject} is not used: Kubernetes allows ${most} seconds at most`];
  }
  return [];
}

function booleanProblems([key, written]: Written): readonly string[] {
  if (written === undefined || parseGoBoolean(written) !== undefined) return [];
  const trimmed = written.trim().toLowerCase();
  const meant = /^(?:yes|y|on|regional|enabled?)$/.test(trimmed) ? true : parseGoBoolean(trimmed);
  const wanted = meant === undefined ? '"true" or "false"' : `"${meant}"`;
  return [`annotation ${key} ${quoted(written)} is no boolean and not used: write ${wanted}`];
}
