import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allowedRolesRule } from "./legacy-rules.ts";

const BASE = "arn:aws:iam::111122223333:role/";
const READER = `${BASE}reader`;

function allows(patterns: readonly string[], roleArn: string): boolean {
  const rule = allowedRolesRule(JSON.stringify(patterns), {
    key: "iam.amazonaws.com/allowed-roles",
    format: "regexp",
    baseRoleArn: BASE,
    defaultRoleArn: undefined,
    isUnanchored: false,
  });
  return rule(roleArn) === undefined;
}

describe("the repetitions of expressions", () => {
  it("are bounded for all of an annotation together", () => {
    const full = ["a{1000}", "b{1000}"];
    assert.ok(allows([...full, "reader"], READER));
    assert.ok(!allows([...full, "reade{1}r"], READER));
    assert.ok(allows(["reade{1}r", ...full], READER));
  });

  it("of one that asks for too much leave the others as they are", () => {
    assert.ok(allows(["a{1000}b{1000}c{1000}", "reade{1}r"], READER));
  });
});
