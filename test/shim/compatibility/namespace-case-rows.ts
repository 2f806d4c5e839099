import assert from "node:assert/strict";
import { compatibilityRowsInto, type CompatibilityRow } from "./compatibility-row.ts";
import { KIAM_CASES, KUBE2IAM_CASES, type NamespaceCase } from "./namespace-cases.ts";
import {
  ALLOWED_ROLES,
  BASE,
  OPEN,
  OWN_ALLOWED_ROLES,
  PERMITTED,
  type ProfileStage,
} from "./profile-stage.ts";

/** The cases that kube2iam's and kiam's own tests have of namespaces. */
export const namespaceCaseRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(namespaceCaseRows);

const DEFAULT_ROLE = "--default-role=default-role";
/** kube2iam's rules of namespaces. */
const BY_GLOBS = ["--namespace-restrictions", DEFAULT_ROLE];
const BY_EXPRESSIONS = [...BY_GLOBS, "--namespace-restriction-format=regexp"];
/** The same for a profile: strict refuses to start with rules that it does not follow. */
export function ruleFlagsFor(
  profile: ProfileStage["profile"],
  format: "globs" | "expressions",
): readonly string[] {
  if (profile === "strict") return [DEFAULT_ROLE];
  return format === "globs" ? BY_GLOBS : BY_EXPRESSIONS;
}
const DENIED = /^40[34] .*role \S+ is not (in|allowed in|permitted in) /;

/** How many cases come out as they should, in a shim with these flags. */
async function goodOf(
  stage: ProfileStage,
  cases: readonly NamespaceCase[],
  {
    flags,
    annotationsOf,
  }: {
    readonly flags: readonly string[];
    readonly annotationsOf: (one: NamespaceCase) => Readonly<Record<string, string>>;
  },
): Promise<string> {
  const port = await stage.shim(flags);
  const results = await Promise.all(
    cases.map(async (one) => {
      const { title, role, isAllowed } = one;
      const pod = stage.pod({ role, namespaceAnnotations: annotationsOf(one) });
      const answer = await stage.list(pod, { port });
      const isGood = isAllowed ? answer.startsWith("200 ") : DENIED.test(answer);
      return isGood ? [] : [`${title}: ${answer}`];
    }),
  );
  assert.deepEqual(results.flat(), []);
  return `${cases.length} cases`;
}

function under(key: string, value: string | undefined): Readonly<Record<string, string>> {
  return value === undefined ? {} : { [key]: value };
}

const permittedOf = ({ annotation }: NamespaceCase): Readonly<Record<string, string>> =>
  under(PERMITTED, annotation);

/** The same as expressions. */
const asExpressions = (cases: readonly NamespaceCase[]): readonly NamespaceCase[] =>
  cases.map((one) => ({ ...one, annotation: one.annotation?.replaceAll("*", ".*") }));

row(
  "C19",
  "kube2iam's 27 cases of allowed-roles; in strict of the own annotation, by ARNs",
  {
    strict: "11 cases",
    kube2iam: "1 case, 13 cases by globs, 13 cases by expressions",
    kiam: "13 cases are not asked",
  },
  async (stage) => {
    const annotationsOf = ({ annotation }: NamespaceCase): Readonly<Record<string, string>> => ({
      ...OPEN[stage.profile],
      ...under(ALLOWED_ROLES, annotation),
    });
    if (stage.profile === "kiam") {
      const all = KUBE2IAM_CASES.map((one) => ({ ...one, isAllowed: true }));
      return `${await goodOf(stage, all, { flags: BY_GLOBS, annotationsOf })} are not asked`;
    }
    if (stage.profile === "strict") {
      const named = KUBE2IAM_CASES.filter(({ annotation }) => annotation !== undefined);
      return goodOf(stage, named, {
        flags: [],
        annotationsOf: ({ annotation = "" }) => ({
          [OWN_ALLOWED_ROLES]: annotation.replaceAll(/"(?!arn:|,|\])/g, `"${BASE}`),
        }),
      });
    }
    const unrestricted = stage.pod({ role: "one-role", namespaceAnnotations: {} });
    assert.equal(await stage.list(unrestricted), "200 one-role");
    const globs = await goodOf(stage, KUBE2IAM_CASES, { flags: BY_GLOBS, annotationsOf });
    const expressions = await goodOf(stage, asExpressions(KUBE2IAM_CASES), {
      flags: BY_EXPRESSIONS,
      annotationsOf,
    });
    return `1 case, ${globs} by globs, ${expressions} by expressions`;
  },
);
row(
  "C20",
  "kiam's cases of permitted, each with a slash in front too",
  {
    strict: "22 cases are not asked",
    kube2iam: "22 cases are not asked",
    kiam: "22 cases, 22 cases without anchors",
  },
  async (stage) => {
    const cases = KIAM_CASES.flatMap((one) => [one, { ...one, role: `/${one.role}` }]);
    if (stage.profile !== "kiam") {
      const all = cases.map((one) => ({
        ...one,
        // A ServiceAccount has no names.
        role: stage.profile === "strict" ? one.role.replace(/^\//, "") : one.role,
        isAllowed: true,
      }));
      return `${await goodOf(stage, all, { flags: [], annotationsOf: permittedOf })} are not asked`;
    }
    const lax = cases.map((one) => ({ ...one, isAllowed: one.isAllowedLax }));
    const anchored = await goodOf(stage, cases, { flags: [], annotationsOf: permittedOf });
    const flags = ["--disable-strict-namespace-regexp"];
    return `${anchored}, ${await goodOf(stage, lax, { flags, annotationsOf: permittedOf })} without anchors`;
  },
);
