import { RE2JS } from "re2js";
import { MAX_ROLE_ARN_LENGTH } from "../../lib/arn.ts";

/** Whether a role ARN is one of those that a pattern is for. */
export type RolePattern = (roleArn: string) => boolean;

/**
 * How many repetitions an expression may ask for, all its counted ones together. Each becomes as many
 * instructions, and whoever writes an annotation could stop the process with them.
 */
const MAX_REPETITIONS = 2000;

/**
 * Compiles a regular expression of Go's syntax (RE2), which kube2iam and kiam take: it needs time in
 * proportion to the text, whatever it says. Undefined when it is none, or asks for too much.
 *
 * @param isAnchored Whether it must match the whole ARN, with all its alternatives; else any part.
 */
export function compileRolePattern(text: string, isAnchored: boolean): RolePattern | undefined {
  if (text.length > MAX_ROLE_ARN_LENGTH || repetitionsIn(text) > MAX_REPETITIONS) return undefined;
  try {
    const compiled = RE2JS.compile(text);
    return (roleArn) =>
      roleArn.length <= MAX_ROLE_ARN_LENGTH &&
      (isAnchored ? compiled.matches(roleArn) : compiled.matcher(roleArn).find());
  } catch {
    return undefined;
  }
}

/** A text that a regular expression takes for itself. */
export function quotePattern(text: string): string {
  return RE2JS.quote(text);
}

function repetitionsIn(text: string): number {
  let sum = 0;
  for (const [, least = "", most = ""] of text.matchAll(/\{(\d{1,9})(?:,(\d{0,9}))?\}/g)) {
    sum += Math.max(Number(least), Number(most));
  }
  return sum;
}
