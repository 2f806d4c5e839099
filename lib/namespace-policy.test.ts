import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import {
  allowsRole,
  matchesRoleGlob,
  parseNamespacePolicy,
  type NamespacePolicy,
} from "./namespace-policy.ts";

const ACCOUNT = "arn:aws:iam::111122223333:role";

describe("parseNamespacePolicy", () => {
  const cases: readonly {
    readonly name: string;
    readonly annotations: Readonly<Record<string, string | null>>;
    readonly policy: NamespacePolicy;
    readonly problems?: readonly string[];
  }[] = [
    { name: "nothing", annotations: {}, policy: {} },
    { name: "null", annotations: { "irsa-anywhere.io/allowed-roles": null }, policy: {} },
    {
      name: "all four",
      annotations: {
        "irsa-anywhere.io/allowed-roles": `["${ACCOUNT}/team/*"]`,
        "irsa-anywhere.io/default-role": `${ACCOUNT}/team/reader`,
        "irsa-anywhere.io/default-region": "eu-central-1",
        "irsa-anywhere.io/default-audience": "sts.example.com",
        "example.com/other": "x",
      },
      policy: {
        allowedRoles: [`${ACCOUNT}/team/*`],
        defaultRoleArn: `${ACCOUNT}/team/reader`,
        defaultRegion: "eu-central-1",
        defaultAudience: "sts.example.com",
      },
    },
    {
      name: "no role at all",
      annotations: { "irsa-anywhere.io/allowed-roles": "[]" },
      policy: { allowedRoles: [] },
    },
    {
      name: "a list that is not JSON",
      annotations: { "irsa-anywhere.io/allowed-roles": `${ACCOUNT}/a` },
      policy: { allowedRoles: [] },
      problems: [
        `irsa-anywhere.io/allowed-roles "${ACCOUNT}/a" allows no role: ` +
          'expected a JSON array, ["arn:aws:iam::111122223333:role/team/*"]',
      ],
    },
    {
      name: "a list nested without end",
      annotations: {
        "irsa-anywhere.io/allowed-roles": `${"[".repeat(50_000)}${"]".repeat(50_000)}`,
      },
      policy: { allowedRoles: [] },
      problems: [
        'irsa-anywhere.io/allowed-roles entry "[…]" allows no role: ' +
          'expected an ARN or glob, ["arn:aws:iam::111122223333:role/team/*"]',
      ],
    },
    {
      name: "a glob longer than any ARN",
      annotations: { "irsa-anywhere.io/allowed-roles": `["${ACCOUNT}/${"*a".repeat(1100)}"]` },
      policy: { allowedRoles: [] },
      problems: [
        `irsa-anywhere.io/allowed-roles entry "${ACCOUNT}/${"*a".repeat(16)}*…" ` +
          'allows no role: expected an ARN or glob, ["arn:aws:iam::111122223333:role/team/*"]',
      ],
    },
    {
      name: "a JSON value that is no list",
      annotations: { "irsa-anywhere.io/allowed-roles": `"${ACCOUNT}/a"` },
      policy: { allowedRoles: [] },
      problems: [
        `irsa-anywhere.io/allowed-roles "\\"${ACCOUNT}/a\\"" allows no role: ` +
          'expected a JSON array, ["arn:aws:iam::111122223333:role/team/*"]',
      ],
    },
    {
      name: "entries that are no globs of role ARNs",
      annotations: {
        "irsa-anywhere.io/allowed-roles": JSON.stringify(["*", 5, `${ACCOUNT}/a`, "role/a"]),
      },
      policy: { allowedRoles: [`${ACCOUNT}/a`] },
      problems: ['"*"', '"5"', '"role/a"'].map(
        (entry) =>
          `irsa-anywhere.io/allowed-roles entry ${entry} allows no role: ` +
          'expected an ARN or glob, ["arn:aws:iam::111122223333:role/team/*"]',
      ),
    },
    {
      name: "empty and impossible defaults",
      annotations: {
        "irsa-anywhere.io/default-role": "",
        "irsa-anywhere.io/default-region": "Frankfurt",
        "irsa-anywhere.io/default-audience": " ",
      },
      policy: {},
      problems: [
        'irsa-anywhere.io/default-region "Frankfurt" ignored: expected a region such as eu-central-1',
        'irsa-anywhere.io/default-audience " " ignored: expected an audience such as sts.amazonaws.com',
        "irsa-anywhere.io/default-role is empty: expected a role ARN",
      ],
    },
    {
      name: "a default role as it was written",
      annotations: { "irsa-anywhere.io/default-role": "reader" },
      policy: { defaultRoleArn: "reader" },
    },
  ];
  for (const { name, annotations, policy, problems = [] } of cases) {
    it(`reads ${name}`, () => {
      assert.deepEqual(parseNamespacePolicy(annotations), { policy, problems });
    });
  }
});

describe("matchesRoleGlob", () => {
  for (const [glob, roleArn, expected] of [
    [`${ACCOUNT}/a`, `${ACCOUNT}/a`, true],
    [`${ACCOUNT}/a`, `${ACCOUNT}/ab`, false],
    [`${ACCOUNT}/a`, `x${ACCOUNT}/a`, false],
    [`${ACCOUNT}/a`, `${ACCOUNT}/A`, false],
    [`${ACCOUNT}/team/*`, `${ACCOUNT}/team/a`, true],
    [`${ACCOUNT}/team/*`, `${ACCOUNT}/team/deeper/a`, true],
    [`${ACCOUNT}/team/*`, `${ACCOUNT}/team`, false],
    [`${ACCOUNT}/team/*`, `${ACCOUNT}/teams/a`, false],
    [`${ACCOUNT}/*-reader`, `${ACCOUNT}/s3-reader`, true],
    ["arn:aws:iam::*:role/a", `${ACCOUNT}/a`, true],
    ["arn:aws:iam::*:role/a", "arn:aws-cn:iam::111122223333:role/a", false],
    ["arn:aws*:iam::111122223333:role/a", "arn:aws-cn:iam::111122223333:role/a", true],
    ["arn:aws:iam::1111*:role/a", `${ACCOUNT}/a`, true],
    ["arn:aws:iam::1111*:role/a", "arn:aws:iam::222233334444:role/a", false],
    ["arn:*", `${ACCOUNT}/a`, false],
    ["*", `${ACCOUNT}/a`, false],
    ["arn:aws:iam::*", `${ACCOUNT}/a`, false],
    ["arn:aws:iam::*a", `${ACCOUNT}/a`, false],
    [`${ACCOUNT}/*`, "arn:aws:iam::111122223333:user/a", false],
    [`${ACCOUNT}/*`, `${ACCOUNT}/with:colon/a`, true],
    [`${ACCOUNT}/*`, `${ACCOUNT}/${"a".repeat(2048)}`, false],
  ] as const) {
    it(`${glob} ${expected ? "matches" : "does not match"} ${roleArn.slice(0, 60)}`, () => {
      assert.equal(matchesRoleGlob(glob, roleArn), expected);
    });
  }

  const account = fc.stringMatching(/^\d{12}$/);
  const partition = fc.constantFrom("aws", "aws-cn", "aws-us-gov", "aws-iso-b");
  const name = fc.stringMatching(/^[\w+=,.@-]{1,12}$/);
  it("never lets a star in the role reach another account or partition", () => {
    fc.assert(
      fc.property(account, account, partition, partition, name, (a, b, p, q, role) => {
        fc.pre(a !== b || p !== q);
        for (const glob of [`arn:${p}:iam::${a}:role/*`, `arn:${p}:iam::${a}:role/*${role}*`]) {
          assert.equal(matchesRoleGlob(glob, `arn:${q}:iam::${b}:role/${role}`), false);
          assert.equal(
            matchesRoleGlob(glob, `arn:${q}:iam::${b}:role/x/arn:${p}:iam::${a}:role/${role}`),
            false,
          );
        }
      }),
    );
  });

  it("lets a star in the account reach no other partition and no other role", () => {
    fc.assert(
      fc.property(account, partition, partition, name, name, (a, p, q, role, other) => {
        const glob = `arn:${p}:iam::*:role/${role}`;
        assert.equal(matchesRoleGlob(glob, `arn:${p}:iam::${a}:role/${role}`), true);
        assert.equal(
          matchesRoleGlob(glob, `arn:${q}:iam::${a}:role/${other}`),
          p === q && role === other,
        );
      }),
    );
  });

  it("matches what it was made of, and no more than its fields, whatever stands before or after", () => {
    const globs = name.chain((role) =>
      fc.tuple(fc.constant(role), starred(role), fc.stringMatching(/^[\w/:*-]{1,6}$/)),
    );
    fc.assert(
      fc.property(account, globs, (a, [role, glob, more]) => {
        const arn = `arn:aws:iam::${a}:role/${role}`;
        const pattern = `arn:aws:iam::${a}:role/${glob}`;
        assert.equal(matchesRoleGlob(pattern, arn), true);
        assert.equal(matchesRoleGlob(pattern, `${more}${arn}`), false);
        if (!glob.includes("*")) assert.equal(matchesRoleGlob(pattern, `${arn}${more}`), false);
      }),
    );
  });
});

describe("allowsRole", () => {
  for (const [name, policy, expected] of [
    ["no list", {}, true],
    ["an empty list", { allowedRoles: [] }, false],
    ["a list with it", { allowedRoles: ["x", `${ACCOUNT}/a`] }, true],
    ["a list without it", { allowedRoles: [`${ACCOUNT}/b`] }, false],
  ] as const) {
    it(`${expected ? "allows" : "refuses"} a role by ${name}`, () => {
      assert.equal(allowsRole(policy, `${ACCOUNT}/a`), expected);
    });
  }
});

/** Stars put between, or in place of, the characters of a text. */
function starred(text: string): fc.Arbitrary<string> {
  return fc
    .array(fc.constantFrom("keep", "star", "before"), {
      minLength: text.length,
      maxLength: text.length,
    })
    .map((how) =>
      text
        .split("")
        .map((char, i) => (how[i] === "star" ? "*" : how[i] === "before" ? `*${char}` : char))
        .join(""),
    );
}
