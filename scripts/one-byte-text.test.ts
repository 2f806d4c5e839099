import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { oneByteText } from "./one-byte-text.ts";

const CASES: readonly (readonly [kind: string, code: string])[] = [
  ["a text", '["…", "a→b", "💩"].join()'],
  ["a template", "`${1}…${2}💩`"],
  ["a regular expression", 'String("x…y💩z".split(/[…💩]/u))'],
  ["a range of characters", '/^[\\u2000-…]$/.test("…")'],
  ["a property's name", "({ Νame: 1 }).Νame"],
  ["a comment", "1 // …"],
];

describe("a text of one byte a character", () => {
  for (const [kind, code] of CASES) {
    it(`says the same as before: ${kind}`, () => {
      const text = oneByteText(code);
      assert.match(text, /^[\0-\xff]*$/);
      assert.notEqual(text, code);
      assert.equal(runInNewContext(text), runInNewContext(code));
    });
  }

  it("is the text itself where no character needs more", () => {
    assert.equal(oneByteText("'µs, é' // \\u2026"), "'µs, é' // \\u2026");
  });

  it("is not made of a character that is escaped itself", () => {
    assert.throws(() => oneByteText("'\\…'"), { message: 'Cannot write "\\…" in one byte' });
  });
});
