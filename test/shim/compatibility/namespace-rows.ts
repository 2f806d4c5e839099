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

/** What namespaces let their pods have. */
export const namespaceRows: CompatibilityRow[] = [];
const row = compatibilityRowsInto(namespaceRows);

const DEFAULT_ROLE = "--default-role=default-role";
const BY_GLOBS = ["--namespace-restrictions", DEFAULT_ROLE];
const BY_EXPRESSIONS = [...BY_GLOBS, "--namespace-restriction-format=regexp"];
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

/** A pod with a role in a namespace that allows something, as its profile has that written. */
async function listWhere(
  stage: ProfileStage,
  role: string,
  { allowed, flags = [] }: { readonly allowed: string; readonly flags?: readonly string[] },
): Promise<string> {
  const annotations = {
    strict: { [OWN_ALLOWED_ROLES]: JSON.stringify([BASE + allowed]) },
    kube2iam: { [ALLOWED_ROLES]: JSON.stringify([allowed]) },
    kiam: { [PERMITTED]: allowed === "" ? "" : BASE + allowed },
  }[stage.profile];
  const port = await stage.shim([...BY_EXPRESSIONS, ...flags]);
  const answer = await stage.list(stage.pod({ role, namespaceAnnotations: annotations }), { port });
  return answer.slice(0, "200 ".length) + (answer.startsWith("200") ? role : "denied");
}

const DENIED_IN = { strict: "403 denied", kube2iam: "404 denied", kiam: "403 denied" };
row(
  "C21",
  "a name that is the start of the role's; the flag that brings kube2iam's way back",
  {
    strict: "403 denied",
    kube2iam: "404 denied, 200 one-role-admin with --insecure-unanchored-namespace-regexp",
    kiam: "403 denied, 200 one-role-admin with --disable-strict-namespace-regexp",
  },
  async (stage) => {
    const denied = await listWhere(stage, "one-role-admin", { allowed: "one-role" });
    if (stage.profile === "strict") return denied;
    const flag = {
      kube2iam: "--insecure-unanchored-namespace-regexp",
      kiam: "--disable-strict-namespace-regexp",
    }[stage.profile];
    const opened = { allowed: "one-role", flags: [flag] };
    return `${denied}, ${await listWhere(stage, "one-role-admin", opened)} with ${flag}`;
  },
);
row("C22", "an empty expression", DENIED_IN, async (stage) =>
  listWhere(stage, "one-role", { allowed: "" }),
);
row(
  "C23",
  "alternatives, of which one is the start of the role's name; globs have none",
  DENIED_IN,
  async (stage) => listWhere(stage, "one-role-admin", { allowed: "one-role|nothing" }),
);
row(
  "C24",
  "a namespace that denies: list, credentials, Event",
  {
    strict: "403, 403, Forbidden",
    kube2iam: "404, 404, Forbidden",
    kiam: "403, 403, Forbidden",
  },
  async (stage) => {
    const port = await stage.shim(BY_GLOBS);
    const nothing = { [OWN_ALLOWED_ROLES]: "[]", [ALLOWED_ROLES]: "[]", [PERMITTED]: "nothing" };
    const pod = stage.pod({ role: "one-role", namespaceAnnotations: nothing });
    const answers = [
      await stage.list(pod, { port }),
      await stage.get(pod, "one-role", { port }),
    ].map((answer) => answer.split(" ", 1)[0]);
    assert.equal(stage.world.exchangesOf(pod.name, pod.namespace), 0);
    return [...answers, await stage.events(pod, 1)].join(", ");
  },
);
row(
  "C40",
  "a role that is none: refused, with an Event, and others are served on",
  {
    strict: "403, Forbidden, 200 app-role",
    kube2iam: "404, Forbidden, 200 app-role",
    kiam: "403, Forbidden, 200 app-role",
  },
  async (stage) => {
    const pod = stage.pod({ role: "arn:bad" });
    const [status = ""] = (await stage.list(pod)).split(" ", 1);
    const other = await stage.list(stage.pod({ role: "app-role" }));
    return `${status}, ${await stage.events(pod, 1)}, ${other}`;
  },
);
row(
  "C41",
  "an annotation of the namespace that cannot be read",
  {
    strict: "403, Forbidden",
    kube2iam: "404, Forbidden",
    kiam: "403, Forbidden",
  },
  async (stage) => {
    const port = await stage.shim(BY_GLOBS);
    const malformed = {
      strict: { [OWN_ALLOWED_ROLES]: "[one-role" },
      kube2iam: { [ALLOWED_ROLES]: "[one-role" },
      kiam: { [PERMITTED]: ".*(one-role" },
    }[stage.profile];
    const pod = stage.pod({ role: "one-role", namespaceAnnotations: malformed });
    const [status = ""] = (await stage.list(pod, { port })).split(" ", 1);
    return `${status}, ${await stage.events(pod, 1)}`;
  },
);
