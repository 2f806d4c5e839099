import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseObjectList } from "./object-list.ts";

const app = { metadata: { name: "app", namespace: "team" } };

describe("parseObjectList", () => {
  for (const [name, token, continueToken] of [
    ["a page before the last", { continue: "abc" }, "abc"],
    ["the last page", {}, undefined],
    ["the last page, as some servers write it", { continue: "" }, undefined],
  ] as const) {
    it(`reads ${name}`, () => {
      const body = { kind: "List", metadata: { resourceVersion: "7", ...token }, items: [app] };
      assert.deepEqual(parseObjectList(body), {
        resourceVersion: "7",
        continueToken,
        objects: [app],
        unreadable: [],
      });
    });
  }

  for (const items of [[], null, undefined]) {
    it(`reads a list whose items are ${JSON.stringify(items) ?? "absent"} as empty`, () => {
      const list = parseObjectList({ metadata: { resourceVersion: "7" }, items });
      assert.ok(!("reason" in list));
      assert.deepEqual([list.objects, list.unreadable], [[], []]);
    });
  }

  it("sets aside what is no object", () => {
    const items = [app, null, { metadata: {} }, "s3cret"];
    const list = parseObjectList({ metadata: { resourceVersion: "7" }, items });
    assert.ok(!("reason" in list));
    assert.deepEqual([list.objects, list.unreadable.length], [[app], 3]);
    assert.ok(!list.unreadable.join("").includes("s3cret"));
  });

  for (const [name, body] of [
    ["text", "<html>"],
    ["nothing", undefined],
    ["another object", app],
    ["a list without a version", { metadata: {}, items: [] }],
    ["a list with an empty version", { metadata: { resourceVersion: "" }, items: [] }],
    ["items that are no list", { metadata: { resourceVersion: "7" }, items: {} }],
  ] as const) {
    it(`gives the reason why ${name} is none`, () => {
      assert.ok("reason" in parseObjectList(body));
    });
  }
});
