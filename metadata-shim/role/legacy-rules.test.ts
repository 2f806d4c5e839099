import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { allowedRolesRule, permittedRule } from "./legacy-rules.ts";

const BASE = "arn:aws:iam::111122223333:role/";
const OTHER = "arn:aws:iam::444455556666:role/";
const DEFAULT = `${BASE}default-role`;
const KEY = "iam.amazonaws.com/allowed-roles";

function allows(
  annotation: string | undefined,
  roleArn: string,
  {
    format = "glob",
    isUnanchored = false,
    baseRoleArn = BASE,
  }: {
    readonly format?: "glob" | "regexp";
    readonly isUnanchored?: boolean;
    readonly baseRoleArn?: string;
  } = {},
): boolean {
  const settings = { key: KEY, format, baseRoleArn, defaultRoleArn: DEFAULT, isUnanchored };
  return allowedRolesRule(annotation, settings)(roleArn) === undefined;
}

const list = (...patterns: readonly unknown[]): string => JSON.stringify(patterns);

describe("allowedRolesRule", () => {
  const globs: readonly (readonly [
    name: string,
    annotation: string | undefined,
    role: string,
    allowed: boolean,
  ])[] = [
    ["a name", list("reader"), `${BASE}reader`, true],
    ["a name with a slash in front", list("/reader"), `${BASE}reader`, true],
    ["a whole ARN", list(`${BASE}reader`), `${BASE}reader`, true],
    [
      "an ARN with upper-case letters in front",
      list(`ARN:${BASE.slice(4)}reader`),
      `${BASE}reader`,
      true,
    ],
    ["an ARN of another account", list(`${OTHER}reader`), `${OTHER}reader`, true],
    ["the name of another role", list("writer"), `${BASE}reader`, false],
    ["a name that is only the start", list("read"), `${BASE}reader`, false],
    ["a name in another account", list("reader"), `${OTHER}reader`, false],
    ["a glob", list("read*"), `${BASE}reader`, true],
    ["a glob in the middle", list("re*er"), `${BASE}reader`, true],
    ["a glob over a path", list("*"), `${BASE}team/a/reader`, true],
    ["a glob below a path", list("team/*"), `${BASE}team/reader`, true],
    ["a glob below another path", list("team/*"), `${BASE}other/reader`, false],
    ["a glob of all names, for another account", list("*"), `${OTHER}reader`, false],
    ["a question mark, which is itself", list("reade?"), `${BASE}reader`, false],
    ["brackets, which are themselves", list("[r]eader"), `${BASE}reader`, false],
    ["the first of two", list("reader", "writer"), `${BASE}reader`, true],
    ["the second of two", list("writer", "reader"), `${BASE}reader`, true],
    ["neither of two", list("writer", "lister"), `${BASE}reader`, false],
    ["an empty text", list(""), `${BASE}reader`, false],
    ["no pattern", "[]", `${BASE}reader`, false],
    ["no annotation", undefined, `${BASE}reader`, false],
    ["an empty annotation", "", `${BASE}reader`, false],
    ["no JSON", "[reader", `${BASE}reader`, false],
    ["a text for a list", '"reader"', `${BASE}reader`, false],
    ["null", "null", `${BASE}reader`, false],
    ["what is no text", list(null, 1, ["reader"]), `${BASE}reader`, false],
    ["a pattern beside what is no text", list(null, "reader"), `${BASE}reader`, true],
    ["the default role, without an annotation", undefined, DEFAULT, true],
    ["the default role, with others allowed", list("reader"), DEFAULT, true],
    ["the default role, with what cannot be read", "[reader", DEFAULT, true],
    ["too much text", list("reader", "x".repeat(17_000)), `${BASE}reader`, false],
  ];
  for (const [name, annotation, role, allowed] of globs) {
    it(`${allowed ? "allows" : "refuses"} by a glob: ${name}`, () => {
      assert.equal(allows(annotation, role), allowed);
    });
  }

  const expressions: readonly (readonly [
    name: string,
    annotation: string,
    role: string,
    allowed: boolean,
  ])[] = [
    ["a name", list("reader"), `${BASE}reader`, true],
    ["a name that is only the start", list("reader"), `${BASE}reader-admin`, false],
    ["a name that is only the end", list("reader"), `${BASE}my-reader`, false],
    ["a name in another account", list("reader"), `${OTHER}reader`, false],
    ["an expression", list("read.*"), `${BASE}reader`, true],
    ["an expression over a path", list(".*"), `${BASE}team/reader`, true],
    ["an expression of all names, for another account", list(".*"), `${OTHER}reader`, false],
    ["a whole ARN", list(`${BASE}reader`), `${BASE}reader`, true],
    ["a whole ARN that is only the start", list(`${BASE}reader`), `${BASE}reader-admin`, false],
    ["an ARN with its end marked", list(`${BASE}reader$`), `${BASE}reader`, true],
    ["an ARN with both ends marked", list(`^${BASE}reader$`), `${BASE}reader`, true],
    ["a name with both ends marked", list("^reader$"), `${BASE}reader`, true],
    ["an account for all", list("arn:aws:iam::[0-9]+:role/reader"), `${OTHER}reader`, true],
    ["an alternative", list("reader|writer"), `${BASE}writer`, true],
    ["an alternative that is only the start", list("reader|writer"), `${BASE}writer-admin`, false],
    ["an alternative that is only the end", list(`${BASE}reader|.*`), `${OTHER}x`, true],
    ["an empty text", list(""), `${BASE}reader`, false],
    ["null", list(null), `${BASE}reader`, false],
    ["no expression", list("read(er"), `${BASE}reader`, false],
    ["an expression beside what is none", list("read(er", "reader"), `${BASE}reader`, true],
    ["what Go does not know", list("(?=r)reader"), `${BASE}reader`, false],
    ["too many repetitions", list("(?:x{1000}){0,1}x{1000}.*|.*"), `${BASE}reader`, false],
  ];
  for (const [name, annotation, role, allowed] of expressions) {
    it(`${allowed ? "allows" : "refuses"} by an expression: ${name}`, () => {
      assert.equal(allows(annotation, role, { format: "regexp" }), allowed);
    });
  }

  it("matches anywhere in the ARN only when that is asked for", () => {
    const options = { format: "regexp", isUnanchored: true } as const;
    assert.equal(allows(list("reader"), `${BASE}reader-admin`, options), true);
    assert.equal(allows(list("^reader"), `${BASE}reader`, options), false);
    assert.equal(allows(list(""), `${BASE}reader`, options), false);
  });

  it("allows every account by a glob for all where there is no base", () => {
    assert.equal(allows(list("*"), `${OTHER}reader`, { baseRoleArn: "" }), true);
  });

  it("says what to do", () => {
    const settings = { key: KEY, format: "glob", baseRoleArn: BASE, isUnanchored: false } as const;
    const of = (annotation: string | undefined): string | undefined =>
      allowedRolesRule(annotation, { ...settings, defaultRoleArn: undefined })(`${BASE}reader`);
    const start = `role ${BASE}reader is not allowed in this namespace: `;
    assert.equal(of(undefined), `${start}it has no ${KEY}`);
    assert.equal(of(list("writer")), `${start}have it added to the namespace's ${KEY}`);
    assert.equal(of(list("writer", 1)), `${start}entry "1" of its ${KEY} cannot be used`);
    assert.equal(
      of("{"),
      `${start}its ${KEY} "{" allows none: expected a JSON array, such as ["reader"]`,
    );
  });
});

describe("permittedRule", () => {
  const cases: readonly (readonly [
    name: string,
    annotation: string | undefined,
    role: string,
    permitted: boolean,
    lax?: boolean,
  ])[] = [
    ["no annotation", undefined, `${BASE}red`, false],
    ["an empty annotation", "", `${BASE}red`, false],
    ["all", ".*", `${BASE}red`, true],
    ["the name behind anything", ".*red", `${BASE}red`, true],
    ["the name behind anything, in another account", ".*red", `${OTHER}red`, true],
    ["the whole ARN", `${BASE}red`, `${BASE}red`, true],
    ["the whole ARN, its ends marked", `^${BASE}red$`, `${BASE}red`, true],
    ["the name alone", "^red$", `${BASE}red`, false],
    ["the name alone, without marks", "red", `${BASE}red`, false, true],
    ["a vague letter", "o", `${BASE}orange`, false, true],
    ["a path", ".*role/path/.*", `${BASE}path/red`, true],
    ["another path", ".*role/path/.*", `${BASE}red`, false],
    ["alternatives with marks", "^.*red$|^.*orange$", `${BASE}orange`, true],
    ["the start of an alternative", `${BASE}red|nothing`, `${BASE}red-admin`, false, true],
    ["the end of an alternative", `nothing|red`, `${BASE}red`, false, true],
    ["what is no expression", ".*(red", `${BASE}red`, false],
  ];
  for (const [name, annotation, role, permitted, lax = permitted] of cases) {
    it(`${permitted ? "permits" : "refuses"} by ${name}`, () => {
      assert.equal(permittedRule(annotation, false)(role) === undefined, permitted);
    });
    it(`${lax ? "permits" : "refuses"} by ${name} where it may match anywhere`, () => {
      assert.equal(permittedRule(annotation, true)(role) === undefined, lax);
    });
  }
});

describe("whatever a namespace says", () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,8}$/);

  it("a list of names allows these and no others", () => {
    fc.assert(
      fc.property(
        fc.array(name),
        name,
        fc.constantFrom("glob", "regexp"),
        (names, asked, format) => {
          const expected = names.includes(asked) || asked === "default-role";
          assert.equal(allows(list(...names), BASE + asked, { format }), expected);
        },
      ),
    );
  });

  it("no text makes a rule throw, or allow another account by names", () => {
    const rough = fc.oneof(
      fc.string(),
      fc.json(),
      fc.array(fc.string()).map((texts) => list(...texts)),
    );
    fc.assert(
      fc.property(rough, fc.constantFrom("glob", "regexp"), (annotation, format) => {
        const isAbout = annotation.includes("arn:") || annotation.includes("|");
        assert.ok(isAbout || !allows(annotation, `${OTHER}reader`, { format }));
        permittedRule(annotation, false)(`${BASE}reader`);
      }),
    );
  });
});
