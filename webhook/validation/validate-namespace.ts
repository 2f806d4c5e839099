import { parseRoleArn } from "../../lib/arn.ts";
import { composeRoleArn } from "../identity/compose-role-arn.ts";
import {
  allowsRole,
  parseNamespacePolicy,
  POLICY_KEYS,
  POLICY_PREFIX,
} from "../../lib/namespace-policy.ts";
import { nearestName } from "./nearest-name.ts";
import type { Annotations } from "../pod/pod.ts";
import { quoted } from "../../lib/quoted.ts";
import { roleArnProblem } from "../identity/role-arn-problem.ts";
import { INJECTION_DISABLED, INJECTION_LABEL, tierOf } from "../coverage/tier.ts";
import {
  partitionProblem,
  type ValidatedObject,
  type ValidationSettings,
} from "./validate-service-account.ts";

const TIERS = ["enabled", "required", INJECTION_DISABLED] as const;
const MAX_VALUE_SLIPS = 2;
const MAX_KEY_SLIPS = 3;

/**
 * Finds the mistakes in a Namespace's label and policy, one sentence each: what is wrong, and what to
 * write instead.
 */
export function validateNamespace(
  { annotations, labels }: ValidatedObject,
  settings: ValidationSettings,
): readonly string[] {
  const { policy, problems } = parseNamespacePolicy(annotations);
  return [
    ...labelProblems(labels),
    ...annotationKeyProblems(annotations, settings.annotationPrefix),
    ...problems.map((problem) => `annotation ${problem}`),
    ...defaultRoleProblems(policy.defaultRoleArn, policy, settings),
  ];
}

function labelProblems(labels: Annotations): readonly string[] {
  const written = labels[INJECTION_LABEL];
  const known = written === undefined || written === null || isKnownValue(written);
  const value = known ? [] : [valueProblem(written)];
  const keys = Object.keys(labels).flatMap((key) => {
    if (key === INJECTION_LABEL) return [];
    if (isPolicyKey(key)) return [`label ${key} is not read: write it as an annotation`];
    const meant = nearestName(key, [INJECTION_LABEL], MAX_KEY_SLIPS);
    return meant === undefined ? [] : [`label ${key} is not read: write ${meant}`];
  });
  return [...value, ...keys];
}

function valueProblem(written: string): string {
  const isYes = /^(?:true|yes|on|1)$/i.test(written);
  const isNo = /^(?:false|no|off|0)$/i.test(written);
  const meant = isYes
    ? "enabled"
    : isNo
      ? INJECTION_DISABLED
      : nearestName(written, TIERS, MAX_VALUE_SLIPS);
  const wanted = meant ?? "enabled or required";
  return `label ${INJECTION_LABEL} ${quoted(written)} is unknown and counts as absent: write ${wanted}`;
}

function isKnownValue(written: string): boolean {
  return tierOf(written) !== undefined || written === INJECTION_DISABLED;
}

function annotationKeyProblems(annotations: Annotations, prefix: string): readonly string[] {
  const known = Object.values(POLICY_KEYS);
  return Object.keys(annotations).flatMap((key) => {
    if (isPolicyKey(key)) return [];
    if (key === INJECTION_LABEL) {
      return [`annotation ${key} is not read: write it as a label`];
    }
    if (key === `${prefix}/role-arn`) {
      return [
        `annotation ${key} is not read on a namespace: ` +
          `write ${POLICY_KEYS.defaultRole}, or annotate its ServiceAccounts`,
      ];
    }
    const meant = nearestName(key, known, MAX_KEY_SLIPS);
    if (meant !== undefined) return [`annotation ${key} is not read: write ${meant}`];
    return key.startsWith(`${POLICY_PREFIX}/`)
      ? [`annotation ${key} is not read: known are ${known.join(", ")}`]
      : [];
  });
}

function isPolicyKey(key: string): boolean {
  return Object.values(POLICY_KEYS).some((known) => known === key);
}

function defaultRoleProblems(
  written: string | undefined,
  policy: Parameters<typeof allowsRole>[0],
  { roleAccount, region: ownRegion }: ValidationSettings,
): readonly string[] {
  if (written === undefined) return [];
  const isName = roleAccount !== undefined && !written.includes("arn:");
  const roleArn = isName ? composeRoleArn(written, roleAccount).roleArn : written;
  const subject = `annotation ${POLICY_KEYS.defaultRole}`;
  const role = parseRoleArn(roleArn);
  if (role === undefined) {
    const { problem, wanted } = roleArnProblem(written) ?? { problem: "is no role", wanted: "" };
    return [`${subject} ${quoted(written)} ${problem}: write ${wanted}`];
  }
  return [
    ...partitionProblem(subject, role.partition, policy.defaultRegion ?? ownRegion),
    ...(allowsRole(policy, roleArn)
      ? []
      : [`${subject} ${quoted(written)} is not in ${POLICY_KEYS.allowedRoles}: add it there`]),
  ];
}
