import { RE2JS } from "re2js";
import { MAX_ROLE_ARN_LENGTH } from "../../lib/arn.ts";

/** Whether a role ARN is one of those that a pattern is for. */
export type RolePattern = (roleArn: string) => boolean;

/** Compiles an expression; undefined when it is none, or asks for too much. */
export type CompileRolePattern = (text: string, isAnchored: boolean) => RolePattern | undefined;

/**
 * How many repetitions the expressions of one annotation may ask for, all the counted ones together.
 * Each becomes as many instructions, and whoever writes an annotation could stop the process with them.
 */
const MAX_REPETITIONS = 2000;

/**
 * Makes the compiler for the expressions of one annotation, in Go's syntax (RE2), which kube2iam and
 * kiam take: one needs time in proportion to the text, whatever it says. An anchored one must match
 * the whole ARN, with all its alternatives; any other matches any part.
 */
export function createPatternCompiler(): CompileRolePattern {
  let left = MAX_REPETITIONS;
  return (text, isAnchored) => {
    const repetitions = repetitionsIn(text);
    if (text.length > MAX_ROLE_ARN_LENGTH || repetitions > left) return undefined;
    left -= repetitions;
    try {
      const compiled = RE2JS.compile(text);
      return (roleArn) =>
        roleArn.length <= MAX_ROLE_ARN_LENGTH &&
        (isAnchored ? compiled.matches(roleArn) : compiled.matcher(roleArn).find());
    } catch {
      return undefined;
    }
  };
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
