import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { ruleSettingsOf, showConfig } from "./rules-config.ts";
import { showRules } from "./show-rules.ts";

const folder = new URL("fixtures/", import.meta.url);

describe("irsa shim rules show", () => {
  for (const name of globSync("*.rules", { cwd: folder })) {
    it(name, () => {
      const [first = "", ...rest] = readFileSync(new URL(name, folder), "utf8").split("\n");
      const args = first.replace("# irsa shim rules show ", "").split(" ");
      const settings = ruleSettingsOf(showConfig.parse(args, {}));
      assert.equal(showRules(settings), rest.join("\n"));
    });
  }
});
