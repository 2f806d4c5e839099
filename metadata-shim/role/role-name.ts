import { parseRoleArn } from "../../lib/arn.ts";
import { quoted } from "../../lib/quoted.ts";
import type { Profile } from "./profile.ts";

/** A role as an annotation or a flag names it, made an ARN; or what is wrong with it. */
export type ResolvedRole = { readonly roleArn: string } | { readonly problem: string };

/**
 * Reads a role as kube2iam and kiam do: an ARN in any partition, its first letters in either case;
 * else a name, with a path or without, that is put behind the base. A slash in front counts for
 * nothing.
 *
 * @param baseRoleArn What comes before names; empty when only ARNs are expected.
 */
export function resolveRole(text: string, baseRoleArn: string): ResolvedRole {
  const isArn = /^arn:/i.test(text);
  if (!isArn && baseRoleArn === "") {
    return { problem: `role ${quoted(text)} is a name, and there is no base ARN to put it behind` };
  }
  const roleArn = isArn ? `arn:${text.slice(4)}` : baseRoleArn + nameOf(text);
  if (parseRoleArn(roleArn) !== undefined) return { roleArn };
  return {
    problem: `role ${quoted(text)} is no role: expected arn:aws:iam::ACCOUNT:role/NAME or a name`,
  };
}

/** The name by which a role is listed, and those that are answered like it. */
export interface RoleNames {
  readonly shownName: string;
  readonly otherNames: readonly string[];
}

/**
 * The names of a role in a profile: `strict` shows the last element of its path, as EC2 does;
 * `kube2iam` what follows the base, else the ARN; `kiam` what the annotation says.
 *
 * @param role.annotation What the pod says; undefined when the role comes from elsewhere.
 */
export function namesOf(
  profile: Profile,
  {
    roleArn,
    annotation,
    baseRoleArn,
  }: {
    readonly roleArn: string;
    readonly annotation: string | undefined;
    readonly baseRoleArn: string;
  },
): RoleNames {
  const last = parseRoleArn(roleArn)?.roleName ?? roleArn;
  if (profile === "strict") return { shownName: last, otherNames: [] };
  const isBelow = baseRoleArn !== "" && roleArn.startsWith(baseRoleArn);
  const below = isBelow ? roleArn.slice(baseRoleArn.length) : undefined;
  const written = annotation === undefined ? undefined : nameOf(annotation);
  const shownName = profile === "kube2iam" ? (below ?? roleArn) : (written ?? last);
  const others = [below, written].filter((name) => name !== undefined && name !== shownName);
  return { shownName, otherNames: [...new Set(others)].filter((name) => name !== undefined) };
}

function nameOf(text: string): string {
  return text.replace(/^\/+/, "");
}
