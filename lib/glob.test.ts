import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { matchesGlob } from "./glob.ts";

describe("matchesGlob", () => {
  for (const [glob, text, expected] of [
    ["", "", true],
    ["", "a", false],
    ["*", "", true],
    ["*", "abc", true],
    ["abc", "abc", true],
    ["abc", "abcd", false],
    ["abc", "xabc", false],
    ["a*c", "ac", true],
    ["a*c", "abbc", true],
    ["a*c", "abcd", false],
    ["*b", "aab", true],
    ["*ab*", "aaab", true],
    ["a**b", "ab", true],
    ["*a*b*", "ba", false],
    ["a.c", "abc", false],
    ["?", "a", false],
    ["[a]", "a", false],
    ["a*", "A", false],
  ] as const) {
    it(`${JSON.stringify(glob)} ${expected ? "matches" : "does not match"} ${JSON.stringify(text)}`, () => {
      assert.equal(matchesGlob(glob, text), expected);
    });
  }

  it("agrees with the regular expression that it stands for", () => {
    const glob = fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 8 });
    const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
    fc.assert(
      fc.property(glob, text, (g, t) => {
        assert.equal(matchesGlob(g, t), new RegExp(`^${g.replaceAll("*", ".*")}$`).test(t));
      }),
    );
  });

  it("answers at once where a regular expression would try for ages", () => {
    assert.equal(matchesGlob(`${"*a".repeat(30)}b`, "a".repeat(5000)), false);
  });

  it("answers soon however much of the glob matches at every place", () => {
    const [many, more] = ["a".repeat(60_000), "a".repeat(120_000)];
    assert.equal(matchesGlob(`*${many}b*`, more), false);
    assert.equal(matchesGlob(`*b${many}*`, more), false);
  });
});
