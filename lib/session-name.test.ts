import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { sessionNameOf } from "./session-name.ts";

describe("sessionNameOf", () => {
  for (const [name, podName, wanted] of [
    ["the name itself", "web-0", "web-0"],
    ["dots as they are", "web-0.team", "web-0.team"],
    ["two characters", "ab", "ab"],
    ["one character", "a", "pod-a"],
    ["64 characters", "a".repeat(64), "a".repeat(64)],
    ["65 characters", "a".repeat(65), `${"a".repeat(53)}-635361c48b`],
    ["253 characters", "b".repeat(253), `${"b".repeat(53)}-af5a4872cb`],
    ["what STS does not take", "a b/c", "a-b-c"],
  ] as const) {
    it(`gives ${name}`, () => assert.equal(sessionNameOf(podName), wanted));
  }

  it("is always one that STS takes", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 300 }), (podName) => {
        assert.match(sessionNameOf(podName), /^[\w+=,.@-]{2,64}$/);
      }),
    );
  });

  it("keeps long names apart that begin alike", () => {
    const start = "a".repeat(100);
    assert.notEqual(sessionNameOf(`${start}1`), sessionNameOf(`${start}2`));
  });
});
