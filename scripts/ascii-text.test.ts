import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { asciiText } from "./ascii-text.ts";

const CASES: readonly (readonly [kind: string, code: string])[] = [
  ["a text", '["…", "a→b", "µs", "💩"].join()'],
  ["a template", "`${1}…${2}💩`"],
  ["a text behind a backslash", '"\\\\…"'],
  ["a regular expression", 'String("x…y💩z".split(/[…💩]/u))'],
  ["a range of characters", '/^[\\u2000-…]$/.test("…")'],
  ["a property's name", "({ Νame: 1 }).Νame"],
  ["a comment", "1 // …"],
];

describe("a program's text in ASCII", () => {
  for (const [kind, code] of CASES) {
    it(`has the same value: ${kind}`, () => {
      const text = asciiText(code);
      assert.match(text, /^[\0-\x7f]*$/);
      assert.equal(runInNewContext(text), runInNewContext(code));
    });
  }

  it("is left as it is where it has no other characters", () => {
    assert.equal(asciiText("'\\u2026' // \t~"), "'\\u2026' // \t~");
  });

  it("is not written where a backslash stands before another character", () => {
    assert.throws(() => asciiText("'\\…'"), { message: 'Cannot write "\\…" in ASCII' });
    assert.throws(() => asciiText("'\\\\\\…'"), { message: 'Cannot write "\\…" in ASCII' });
  });
});
