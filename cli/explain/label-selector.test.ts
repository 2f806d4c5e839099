import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { selects, type LabelSelector } from "./label-selector.ts";

const expression = (operator: string, values?: string[]): LabelSelector => ({
  matchExpressions: [{ key: "tier", operator, ...(values && { values }) }],
});

describe("selects", () => {
  const cases: readonly (readonly [
    name: string,
    selector: LabelSelector | undefined,
    labels: Record<string, string>,
    expected: boolean,
  ])[] = [
    ["no selector takes all", undefined, {}, true],
    ["an empty one takes all", {}, { tier: "a" }, true],
    ["a label with its value", { matchLabels: { tier: "a" } }, { tier: "a", x: "y" }, true],
    ["a label with another value", { matchLabels: { tier: "a" } }, { tier: "b" }, false],
    ["a label that is absent", { matchLabels: { tier: "a" } }, {}, false],
    ["In, listed", expression("In", ["a", "b"]), { tier: "b" }, true],
    ["In, not listed", expression("In", ["a"]), { tier: "b" }, false],
    ["In, absent", expression("In", ["a"]), {}, false],
    ["NotIn, listed", expression("NotIn", ["a"]), { tier: "a" }, false],
    ["NotIn, not listed", expression("NotIn", ["a"]), { tier: "b" }, true],
    ["NotIn, absent", expression("NotIn", ["a"]), {}, true],
    ["Exists, also with an empty value", expression("Exists"), { tier: "" }, true],
    ["Exists, absent", expression("Exists"), {}, false],
    ["DoesNotExist, present", expression("DoesNotExist"), { tier: "" }, false],
    ["DoesNotExist, absent", expression("DoesNotExist"), {}, true],
    [
      "all of it must hold",
      { matchLabels: { x: "y" }, ...expression("Exists") },
      { tier: "a" },
      false,
    ],
  ];
  for (const [name, selector, labels, expected] of cases) {
    it(name, () => assert.equal(selects(selector, labels), expected));
  }
});
