import { z } from "zod";
import { matchesGlob } from "../../lib/glob.ts";
import { quoted } from "../../lib/quoted.ts";
import {
  createPatternCompiler,
  quotePattern,
  type CompileRolePattern,
  type RolePattern,
} from "./role-pattern.ts";

/** Why a namespace does not let its pods have a role; undefined when it does. */
export type RoleRule = (roleArn: string) => string | undefined;

export interface AllowedRolesSettings {
  /** The annotation, kube2iam's `--namespace-key`. */
  readonly key: string;
  readonly format: "glob" | "regexp";
  /** What comes before names; empty for nothing. */
  readonly baseRoleArn: string;
  /** Roles that every namespace may have: what `--default-role` names. */
  readonly defaultRoleArn: string | undefined;
  /** Matches regular expressions anywhere in the ARN, as kube2iam does. */
  readonly isUnanchored: boolean;
}

/** As many characters of patterns are read of one annotation. */
const MAX_PATTERNS_LENGTH = 16 * 1024;

/**
 * kube2iam's rule: a JSON array of globs or regular expressions in an annotation of the namespace. A
 * pattern is an ARN, or a name behind the base. What cannot be read allows nothing, and no annotation
 * allows nothing but the default role.
 *
 * In a glob `*` is any run of characters, also over slashes, and all else is itself. An expression
 * must match the whole ARN: `^` and `$` around it change nothing.
 */
export function allowedRolesRule(
  annotation: string | undefined,
  settings: AllowedRolesSettings,
): RoleRule {
  const { key, defaultRoleArn } = settings;
  const { patterns, problem } = patternsOf(annotation, settings);
  const advice = `have it added to the namespace's ${key}`;
  return (roleArn) => {
    if (roleArn === defaultRoleArn || patterns.some((matches) => matches(roleArn)))
      return undefined;
    return `role ${roleArn} is not allowed in this namespace: ${problem ?? advice}`;
  };
}

function patternsOf(
  annotation: string | undefined,
  settings: AllowedRolesSettings,
): { readonly patterns: readonly RolePattern[]; readonly problem?: string } {
  const { key } = settings;
  if (annotation === undefined) return { patterns: [], problem: `it has no ${key}` };
  const wanted = 'expected a JSON array, such as ["reader"]';
  const list = annotation.length > MAX_PATTERNS_LENGTH ? undefined : listOf(annotation);
  if (list === undefined) {
    return { patterns: [], problem: `its ${key} ${quoted(annotation)} allows none: ${wanted}` };
  }
  const compile = createPatternCompiler();
  const compiled = list.map((text) => patternOf(text, settings, compile));
  const unread = compiled.findIndex((pattern) => pattern === undefined);
  const patterns = compiled.filter((pattern) => pattern !== undefined);
  if (unread === -1) return { patterns };
  const shown = quoted(String(list[unread]));
  return { patterns, problem: `entry ${shown} of its ${key} cannot be used` };
}

function listOf(text: string): readonly unknown[] | undefined {
  try {
    return z.array(z.unknown()).safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function patternOf(
  text: unknown,
  { format, baseRoleArn, isUnanchored }: AllowedRolesSettings,
  compile: CompileRolePattern,
): RolePattern | undefined {
  if (typeof text !== "string" || text === "") return undefined;
  if (format === "glob") {
    const glob = isArn(text) ? `arn:${text.slice(4)}` : baseRoleArn + text.replace(/^\/+/, "");
    return (roleArn) => matchesGlob(glob, roleArn);
  }
  if (isUnanchored) {
    const expression = isArn(text) ? text : baseRoleArn + text;
    return compile(expression, false);
  }
  const bare = text.replace(/^\^/, "").replace(/(?<!\\)\$$/, "");
  const expression = isArn(bare) ? bare : `${quotePattern(baseRoleArn)}(?:${bare})`;
  return compile(expression, true);
}

function isArn(text: string): boolean {
  return /^arn:/i.test(text);
}

/** kiam's annotation of namespaces. */
export const PERMITTED_KEY = "iam.amazonaws.com/permitted";

/**
 * kiam's rule: one regular expression for the ARN in an annotation of the namespace, without which
 * nothing is allowed. It must match the whole ARN, with each of its alternatives.
 *
 * @param isUnanchored Matches it anywhere in the ARN (`--disable-strict-namespace-regexp`).
 */
export function permittedRule(annotation: string | undefined, isUnanchored: boolean): RoleRule {
  const key = PERMITTED_KEY;
  if (!annotation) return (roleArn) => denied(roleArn, `it has no ${key}`);
  const pattern = createPatternCompiler()(annotation, !isUnanchored);
  if (pattern === undefined) {
    const why = `its ${key} ${quoted(annotation)} is no regular expression that can be used`;
    return (roleArn) => denied(roleArn, why);
  }
  const why = `its ${key} ${quoted(annotation)} does not match`;
  return (roleArn) => (pattern(roleArn) ? undefined : denied(roleArn, why));
}

function denied(roleArn: string, why: string): string {
  return `role ${roleArn} is not permitted in this namespace: ${why}`;
}
