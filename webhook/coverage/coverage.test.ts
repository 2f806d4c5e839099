import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isCovered } from "./coverage.ts";

describe("isCovered", () => {
  const cases: readonly (readonly [
    name: string,
    label: string | undefined,
    labelled: boolean,
    all: boolean,
  ])[] = [
    ["team", "enabled", true, true],
    ["team", "required", true, true],
    ["team", "disabled", false, false],
    ["team", undefined, false, true],
    ["team", "yes", false, true],
    ["kube-system", "enabled", false, false],
    ["kube-public", undefined, false, false],
    ["kube-node-lease", undefined, false, false],
    ["irsa-system", "enabled", false, false],
  ];
  for (const [name, label, labelled, all] of cases) {
    const exemptNamespaces = ["irsa-system"];
    it(`${name} labelled ${label ?? "not at all"}: ${labelled}, where all are covered ${all}`, () => {
      const namespace = { name, label };
      assert.equal(isCovered(namespace, { allNamespaces: false, exemptNamespaces }), labelled);
      assert.equal(isCovered(namespace, { allNamespaces: true, exemptNamespaces }), all);
    });
  }
});
