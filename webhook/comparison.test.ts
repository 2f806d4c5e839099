import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";

// docs/webhook-comparison.md says of each row what holds it; here it is seen that this exists.

const root = new URL("../", import.meta.url);
const page = readFileSync(new URL("docs/webhook-comparison.md", root), "utf8");

/** The rows of all tables, without heads and rules. */
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| ") && !/^\| (?:-+|AWS's webhook) /.test(line))
  .map((line) => line.split(" | ").map((cell) => cell.replace(/^\| | *\|$/g, "").trim()));

/** What a cell names: a fixture, or a test file and a part of a test's name. */
function referencesIn(cell: string): readonly string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(([, reference = ""]) => reference);
}

function existsTest(reference: string): boolean {
  if (reference.startsWith("fixtures/")) return existsSync(new URL(`webhook/${reference}`, root));
  const [, file = "", name = ""] = /^(\S+\.test\.ts) "(.+)"$/.exec(reference) ?? [];
  if (file === "" || !existsSync(new URL(file, root))) return false;
  const source = readFileSync(new URL(file, root), "utf8");
  return [...source.matchAll(/\bit\(\s*(?:"([^"]*)"|`([^`]*)`)/g)].some(([, plain, template]) =>
    (plain ?? template ?? "").includes(name),
  );
}

describe("docs/webhook-comparison.md", () => {
  it("has rows", () => assert.ok(rows.length > 90, `${rows.length} rows`));

  for (const [theirs = "", ours = "", heldBy = ""] of rows) {
    it(`says whether it is the same: ${theirs}`, () =>
      assert.match(ours, /^(?:same|different: |not wanted: )/));
    for (const reference of referencesIn(heldBy)) {
      it(`names what is there: ${reference}`, () => assert.ok(existsTest(reference)));
    }
    if (ours.startsWith("same")) {
      it(`holds by a test: ${theirs}`, () => assert.ok(referencesIn(heldBy).length > 0));
    }
  }
});
