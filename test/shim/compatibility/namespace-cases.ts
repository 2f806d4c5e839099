import { BASE } from "./profile-stage.ts";

/** What a namespace says, of which role, and whether it may have it. */
export interface NamespaceCase {
  readonly title: string;
  /** Value of the annotation; none when undefined. */
  readonly annotation: string | undefined;
  readonly role: string;
  readonly isAllowed: boolean;
}

const list = (...patterns: readonly string[]): string => JSON.stringify(patterns);

/**
 * What kube2iam's own tests ask of namespaces with restrictions, thirteen times for globs and as often
 * for expressions, which say `.*` for `*`. `default-role` is what its flag names.
 */
export const KUBE2IAM_CASES: readonly NamespaceCase[] = [
  { title: "the default role", annotation: undefined, role: "default-role", isAllowed: true },
  {
    title: "the default role by its ARN",
    annotation: undefined,
    role: `${BASE}default-role`,
    isAllowed: true,
  },
  { title: "a name", annotation: list("one-role"), role: "one-role", isAllowed: true },
  {
    title: "all below a path",
    annotation: list("team/*"),
    role: "team/path-role",
    isAllowed: true,
  },
  { title: "an ARN", annotation: list(`${BASE}one-role`), role: "one-role", isAllowed: true },
  {
    title: "all of a path with an end",
    annotation: list(`${BASE}team/*-role`),
    role: "team/path-role",
    isAllowed: true,
  },
  {
    title: "the ARN of another",
    annotation: list(`${BASE}one-role`),
    role: "two-role",
    isAllowed: false,
  },
  { title: "an empty annotation", annotation: "", role: "one-role", isAllowed: false },
  {
    title: "neither of two",
    annotation: list("one-role", "two-role"),
    role: "app-role",
    isAllowed: false,
  },
  {
    title: "the first of two",
    annotation: list("one-role", "two-role"),
    role: "one-role",
    isAllowed: true,
  },
  {
    title: "the second of two",
    annotation: list("two-role", "one-role"),
    role: "one-role",
    isAllowed: true,
  },
  {
    title: "the first of two by its start",
    annotation: list("glob-*", "one-role"),
    role: "glob-role",
    isAllowed: true,
  },
  {
    title: "the second of two by its start",
    annotation: list("one-role", "glob-*"),
    role: "glob-role",
    isAllowed: true,
  },
];

/** A case of kiam, and whether it is allowed where an expression may match any part of the ARN. */
export interface KiamCase extends NamespaceCase {
  readonly isAllowedLax: boolean;
}

const kiam = (
  title: string,
  annotation: string | undefined,
  role: string,
  [isAllowed, isAllowedLax = isAllowed]: readonly [boolean, boolean?],
): KiamCase => ({ title, annotation, role, isAllowed, isAllowedLax });

/** What kiam's own tests of its policy ask; each role is tried with a slash in front too. */
export const KIAM_CASES: readonly KiamCase[] = [
  kiam("alternatives that both have a start", "^.*/red.*$|^.*/.red.*$", "red-role", [true]),
  kiam("no alternative", "^.*/red.*$|^.*/.red.*$", "app-role", [false]),
  kiam("no annotation", undefined, "red-role", [false]),
  kiam("an empty annotation", "", "red-role", [false]),
  kiam("a vague letter", "o", "red-role", [false, true]),
  kiam("a word without what is before it", "role", "red-role", [false, true]),
  kiam("a word after anything", ".*role", "red-role", [true]),
  kiam("the ARN", `${BASE}red-role`, "red-role", [true]),
  kiam("the ARN of another account", "arn:aws:iam::444455556666:role/red-role", "red-role", [
    false,
  ]),
  kiam("all below a path", ".*:role/team/.*", "team/path-role", [true]),
  kiam("all below another path", ".*:role/team/.*", "red-role", [false]),
];
