import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { allowedCores, onCore } from "./cores.ts";

describe("allowedCores", () => {
  for (const [list, cores] of [
    ["0", [0]],
    ["0-1", [0, 1]],
    ["0-2,5", [0, 1, 2, 5]],
    ["3,7-8", [3, 7, 8]],
  ] as const) {
    it(`reads ${list}`, () => {
      const status = `Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t${list}\nMems_allowed:\t1\n`;
      assert.deepEqual(allowedCores(status), cores);
    });
  }

  it("finds none where the system names none", () => {
    assert.deepEqual(allowedCores("Name:\tnode\n"), []);
  });
});

describe("onCore", () => {
  it("puts taskset in front, and nothing without a core", () => {
    assert.deepEqual(onCore(1, ["node", "a"]), ["taskset", "-c", "1", "node", "a"]);
    assert.deepEqual(onCore(undefined, ["node", "a"]), ["node", "a"]);
  });
});
