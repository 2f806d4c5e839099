import { z } from "zod";
import { MAX_ROLE_ARN_LENGTH } from "./arn.ts";
import { matchesGlob } from "./glob.ts";
import { quoted } from "./quoted.ts";

/** What a namespace says about the identities of its pods; see {@link parseNamespacePolicy}. */
export interface NamespacePolicy {
  /** Globs of role ARNs; absent when every role may be used, empty when none may. */
  readonly allowedRoles?: readonly string[];
  /** Role of pods whose ServiceAccount names none, as it was written. */
  readonly defaultRoleArn?: string;
  /** Region of the containers, over the webhook's own. */
  readonly defaultRegion?: string;
  /** Audience of tokens where the ServiceAccount names none, over the webhook's own. */
  readonly defaultAudience?: string;
}

/** Domain of the annotations that make a policy. */
export const POLICY_PREFIX = "irsa-anywhere.io";

export const POLICY_KEYS = {
  allowedRoles: `${POLICY_PREFIX}/allowed-roles`,
  defaultRole: `${POLICY_PREFIX}/default-role`,
  defaultRegion: `${POLICY_PREFIX}/default-region`,
  defaultAudience: `${POLICY_PREFIX}/default-audience`,
} as const;

const EXAMPLE = '["arn:aws:iam::111122223333:role/team/*"]';

/**
 * Reads the policy from the annotations of a namespace.
 *
 * - `allowed-roles`: a JSON array of globs of role ARNs. What cannot be read allows nothing: an array
 *   that is none allows no role at all, an entry that is none is passed over.
 * - `default-role`, `default-region`, `default-audience`: a text each. An empty or impossible region
 *   or audience counts as absent; a role is passed on as it is, to be judged like a ServiceAccount's.
 *
 * @returns the policy, and a sentence for each annotation that cannot be used as it was written.
 */
export function parseNamespacePolicy(
  annotations: Readonly<Record<string, string | null | undefined>>,
): {
  readonly policy: NamespacePolicy;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  const allowedRoles = allowedRolesOf(annotations[POLICY_KEYS.allowedRoles], problems);
  const role = annotations[POLICY_KEYS.defaultRole];
  const region = textOf(annotations[POLICY_KEYS.defaultRegion], {
    key: POLICY_KEYS.defaultRegion,
    shape: /^[a-z]{2,}(-[a-z]+)+-\d{1,2}$/,
    wanted: "a region such as eu-central-1",
    problems,
  });
  const audience = textOf(annotations[POLICY_KEYS.defaultAudience], {
    key: POLICY_KEYS.defaultAudience,
    shape: /^\S+$/,
    wanted: "an audience such as sts.amazonaws.com",
    problems,
  });
  const policy = {
    ...(allowedRoles === undefined ? {} : { allowedRoles }),
    ...(role ? { defaultRoleArn: role } : {}),
    ...(region === undefined ? {} : { defaultRegion: region }),
    ...(audience === undefined ? {} : { defaultAudience: audience }),
  };
  if (role === "") problems.push(`${POLICY_KEYS.defaultRole} is empty: expected a role ARN`);
  return { policy, problems };
}

/** Whether a policy lets pods have a role. */
export function allowsRole({ allowedRoles }: NamespacePolicy, roleArn: string): boolean {
  return allowedRoles?.some((glob) => matchesRoleGlob(glob, roleArn)) ?? true;
}

/**
 * Whether a role ARN matches a glob of one. `*` is any run of characters within one field of the ARN,
 * so it never reaches from the partition or the account into another field; in the last field it also
 * stands for slashes. Both are compared as a whole, in upper and lower case as written.
 */
export function matchesRoleGlob(glob: string, roleArn: string): boolean {
  if (roleArn.length > MAX_ROLE_ARN_LENGTH) return false;
  const globFields = fieldsOf(glob);
  const fields = fieldsOf(roleArn);
  if (globFields.length !== ARN_FIELDS || fields.length !== ARN_FIELDS) return false;
  return globFields.every((field, i) => matchesGlob(field, fields[i] ?? ""));
}

/** `arn`, partition, service, region, account, and the resource with all its colons. */
const ARN_FIELDS = 6;

function fieldsOf(arn: string): readonly string[] {
  const parts = arn.split(":");
  const fields = parts.slice(0, ARN_FIELDS - 1);
  return parts.length < ARN_FIELDS ? parts : [...fields, parts.slice(ARN_FIELDS - 1).join(":")];
}

// Wildcards are for the partition, the account and the role; all else is the same in every role ARN.
const ROLE_GLOB = /^arn:[a-z0-9*-]+:iam::[0-9*]+:role\/[\x21-\x7e]+$/;

function allowedRolesOf(
  written: string | null | undefined,
  problems: string[],
): readonly string[] | undefined {
  if (written === undefined || written === null) return undefined;
  const key = POLICY_KEYS.allowedRoles;
  const list = parseList(written);
  if (list === undefined) {
    problems.push(`${key} ${quoted(written)} allows no role: expected a JSON array, ${EXAMPLE}`);
    return [];
  }
  return list.filter((entry): entry is string => {
    if (isRoleGlob(entry)) return true;
    const shown = quoted(shortOf(entry));
    problems.push(`${key} entry ${shown} allows no role: expected an ARN or glob, ${EXAMPLE}`);
    return false;
  });
}

function isRoleGlob(entry: unknown): boolean {
  return typeof entry === "string" && entry.length <= MAX_ROLE_ARN_LENGTH && ROLE_GLOB.test(entry);
}

/** An entry for a message; lists and objects may be nested too deep to be written out. */
function shortOf(entry: unknown): string {
  if (Array.isArray(entry)) return "[…]";
  return typeof entry === "object" && entry !== null ? "{…}" : String(entry);
}

function parseList(text: string): readonly unknown[] | undefined {
  try {
    return z.array(z.unknown()).safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function textOf(
  written: string | null | undefined,
  {
    key,
    shape,
    wanted,
    problems,
  }: {
    readonly key: string;
    readonly shape: RegExp;
    readonly wanted: string;
    readonly problems: string[];
  },
): string | undefined {
  if (written === undefined || written === null) return undefined;
  if (shape.test(written)) return written;
  problems.push(`${key} ${quoted(written)} ignored: expected ${wanted}`);
  return undefined;
}
