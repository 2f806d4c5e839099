import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { STEP_TITLES } from "./step.ts";

const root = new URL("../../", import.meta.url);

describe("docs/explain.md", async () => {
  const page = await readFile(new URL("docs/explain.md", root), "utf8");

  for (const title of Object.values(STEP_TITLES)) {
    it(`says when "${title}" is a problem`, () => {
      assert.ok(page.includes(`\n| ${title} `));
    });
  }

  for (const name of ["fine", "early"]) {
    it(`shows the output for the pod "${name}" as it is`, async () => {
      const text = await readFile(new URL(`test/e2e/explanations/${name}.txt`, root), "utf8");
      assert.ok(page.includes(`\`\`\`text\n${text}\`\`\`\n`));
    });
  }
});
