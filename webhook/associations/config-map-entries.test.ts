import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { AppError } from "../../lib/errors.ts";
import { MAX_CONTENT_LENGTH } from "./associations-text.ts";
import { entryFor, NO_ENTRIES, parseConfigMapEntries } from "./config-map-entries.ts";

const ROLE = "arn:aws:iam::111122223333:role/reader";
const NOTHING_ELSE = { audience: undefined, expirationSeconds: undefined, regionalSts: undefined };

function entriesOf(config: object): ReturnType<typeof parseConfigMapEntries>["entries"] {
  const { entries, warnings } = parseConfigMapEntries(JSON.stringify(config));
  assert.deepEqual(warnings, []);
  return entries;
}

function roleFor(config: Readonly<Record<string, string>>, ns: string, name: string): unknown {
  const entries = entriesOf(
    Object.fromEntries(Object.entries(config).map(([key, RoleARN]) => [key, { RoleARN }])),
  );
  return entryFor(entries, ns, name)?.roleArn;
}

describe("parseConfigMapEntries", () => {
  for (const [name, fields, wanted] of [
    [
      "all fields",
      { RoleARN: ROLE, Audience: "a", UseRegionalSTS: true, TokenExpiration: 7200 },
      {},
    ],
    [
      "lower case",
      { rolearn: ROLE, audience: "a", useregionalsts: true, tokenexpiration: 7200 },
      {},
    ],
    ["any case", { roleArn: ROLE, AUDIENCE: "a", useRegionalSts: true, TokenEXPIRATION: 7200 }, {}],
    ["an unknown field", { RoleARN: ROLE, x: [1] }, NOTHING_ELSE],
    ["the role alone", { RoleARN: ROLE }, NOTHING_ELSE],
    ["an empty audience", { RoleARN: ROLE, Audience: "" }, NOTHING_ELSE],
    ["no life", { RoleARN: ROLE, TokenExpiration: 0 }, NOTHING_ELSE],
    [
      "fields that are null",
      { RoleARN: ROLE, Audience: null, UseRegionalSTS: null, TokenExpiration: null },
      NOTHING_ELSE,
    ],
    [
      "regional STS turned off",
      { RoleARN: ROLE, UseRegionalSTS: false },
      { ...NOTHING_ELSE, regionalSts: false },
    ],
    [
      "the shortest life",
      { RoleARN: ROLE, TokenExpiration: 600 },
      { ...NOTHING_ELSE, expirationSeconds: 600 },
    ],
    [
      "the longest life",
      { RoleARN: ROLE, TokenExpiration: 2 ** 32 },
      { ...NOTHING_ELSE, expirationSeconds: 2 ** 32 },
    ],
    ["no role", {}, { ...NOTHING_ELSE, roleArn: undefined }],
    ["an empty role", { RoleARN: "" }, { ...NOTHING_ELSE, roleArn: undefined }],
  ] as const) {
    it(`reads an entry with ${name}`, () => {
      assert.deepEqual(entryFor(entriesOf({ "team/app": fields }), "team", "app"), {
        key: "team/app",
        roleArn: ROLE,
        audience: "a",
        expirationSeconds: 7200,
        regionalSts: true,
        ...wanted,
      });
    });
  }

  for (const seconds of [599, 5, -1]) {
    it(`raises a life of ${seconds} to 600 seconds, and tells`, () => {
      const text = JSON.stringify({ "team/app": { RoleARN: ROLE, TokenExpiration: seconds } });
      const { entries, warnings } = parseConfigMapEntries(text);
      assert.equal(entryFor(entries, "team", "app")?.expirationSeconds, 600);
      assert.deepEqual(warnings, [
        `TokenExpiration ${seconds} of entry "team/app" raised to 600 seconds`,
      ]);
    });
  }

  for (const text of ["", "  \n", "{}"]) {
    it(`takes ${JSON.stringify(text)} for no entries`, () => {
      assert.deepEqual(parseConfigMapEntries(text).entries, NO_ENTRIES);
    });
  }

  const good = { RoleARN: ROLE };
  for (const [name, config, wanted] of [
    ["a key without a slash", { app: good }, /key "app": expected namespace\/name/],
    ["a key with two slashes", { "team/app/x": good }, /key "team\/app\/x"/],
    ["an empty namespace", { "/app": good }, /key "\/app"/],
    ["an empty name", { "team/": good }, /key "team\/"/],
    ["an upper-case name", { "team/App": good }, /key "team\/App"/],
    ["white space in a key", { "team/ app": good }, /key "team\/ app"/],
    ["a null entry", { "team/app": null }, /entry "team\/app": expected an object/],
    ["a text for an entry", { "team/app": ROLE }, /entry "team\/app": expected an object/],
    ["a list for an entry", { "team/app": [good] }, /entry "team\/app": expected an object/],
    ["a role that is no text", { "team/app": { RoleARN: 1 } }, /RoleARN of entry "team\/app"/],
    ["an audience that is no text", { "team/app": { Audience: ["a"] } }, /Audience of entry/],
    ["a boolean in quotes", { "team/app": { UseRegionalSTS: "true" } }, /UseRegionalSTS of entry/],
    ["a number in quotes", { "team/app": { TokenExpiration: "3600" } }, /TokenExpiration of entry/],
    ["half a second", { "team/app": { TokenExpiration: 3600.5 } }, /TokenExpiration of entry/],
    ["too long a life", { "team/app": { TokenExpiration: 2 ** 32 + 1 } }, /TokenExpiration of/],
    ["a list", [], /expected a JSON object/],
    ["null", null, /expected a JSON object/],
    ["a text", "team/app", /expected a JSON object/],
    ["a number", 5, /expected a JSON object/],
  ] as const) {
    it(`refuses ${name}, and all that is beside it`, () => {
      const text = JSON.stringify(config).replace(/^\{/, `{"team/good": ${JSON.stringify(good)},`);
      assert.throws(() => parseConfigMapEntries(text), {
        code: "ASSOCIATION_INVALID",
        message: wanted,
      });
    });
  }

  it("refuses cut-off JSON, says where, and does not quote it", () => {
    assert.throws(
      () => parseConfigMapEntries('{"team/s3cret": {"RoleARN": "ar'),
      (err) => {
        assert.ok(err instanceof AppError);
        assert.match(err.message, /no JSON at position \d+/);
        assert.doesNotMatch(err.message, /s3cret/);
        return true;
      },
    );
  });

  it("refuses what is too long", () => {
    const text = JSON.stringify({ "team/app": { RoleARN: "x".repeat(MAX_CONTENT_LENGTH) } });
    assert.throws(() => parseConfigMapEntries(text), { message: /expected at most 4194304/ });
  });

  it("refuses what is nested without end", () => {
    const text = `{"team/app":${"[".repeat(100_000)}`;
    assert.throws(() => parseConfigMapEntries(text), { code: "ASSOCIATION_INVALID" });
  });

  it("does not stumble over the names of JavaScript's own fields", () => {
    const text = '{"__proto__": {"RoleARN": "x"}, "constructor/toString": {"RoleARN": "x"}}';
    assert.throws(() => parseConfigMapEntries(text), {
      message: /key "__proto__".*key "constructor\/toString"/,
    });
    assert.equal(entryFor(NO_ENTRIES, "__proto__", "constructor"), undefined);
  });

  it("names all problems at once, and at most ten", () => {
    const bad = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`bad${i}`, good]));
    assert.throws(() => parseConfigMapEntries(JSON.stringify(bad)), {
      message: /"bad0".*"bad9".*; and 2 more$/,
    });
  });

  it("reads or refuses whatever JSON it is given", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        try {
          parseConfigMapEntries(text);
        } catch (err) {
          assert.ok(err instanceof AppError, String(err));
        }
      }),
    );
  });
});

describe("entryFor", () => {
  for (const [name, config, [ns, sa], wanted] of [
    [
      "an exact entry over all globs",
      { "*/*": "g", "team/*": "h", "team/app": "e" },
      ["team", "app"],
      "e",
    ],
    ["any namespace", { "*/app": "g" }, ["team", "app"], "g"],
    ["any name", { "team/*": "g" }, ["team", "app"], "g"],
    ["the start of a namespace", { "test-*/app": "g" }, ["test-1", "app"], "g"],
    ["the end of a name", { "team/*-reader": "g" }, ["team", "s3-reader"], "g"],
    ["several stars", { "a*c*e/*b*": "g" }, ["abcde", "abc"], "g"],
    ["no namespace that only begins alike", { "test/app": "g" }, ["test-1", "app"], undefined],
    ["no other name", { "test-*/app": "g" }, ["test-1", "app2"], undefined],
    ["a star for nothing", { "test*/app": "g" }, ["test", "app"], "g"],
    ["a dot as itself", { "team/a.b*": "g" }, ["team", "axb"], undefined],
    ["the exact namespace first", { "*/app": "n", "team/*": "m" }, ["team", "app"], "m"],
    ["then the exact name", { "te*/a*": "b", "*/app": "n" }, ["team", "app"], "n"],
    [
      "then the longer namespace",
      { "*/*": "a", "te*/*": "b", "tea*/*": "c" },
      ["team", "app"],
      "c",
    ],
    ["then the longer name", { "te*/a*": "b", "te*/ap*": "c" }, ["team", "app"], "c"],
    ["then the first in order", { "te*/*p": "b", "te*/a*": "c" }, ["team", "app"], "b"],
    ["an exact entry without a role", { "team/app": "", "*/app": "g" }, ["team", "app"], undefined],
  ] as const) {
    it(`takes ${name}, whatever the order of the keys`, () => {
      const reversed = Object.fromEntries(Object.entries(config).toReversed());
      for (const one of [config, reversed]) assert.equal(roleFor(one, ns, sa), wanted);
    });
  }
});
