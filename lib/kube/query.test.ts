import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withQuery } from "./query.ts";

describe("withQuery", () => {
  for (const [path, parameters, expected] of [
    ["/a", {}, "/a"],
    ["/a", { limit: undefined }, "/a"],
    ["/a", { limit: "5", continue: undefined }, "/a?limit=5"],
    ["/a?labelSelector=x%3Dy", { limit: "5" }, "/a?labelSelector=x%3Dy&limit=5"],
    ["/a", { continue: "a+b/c=&d" }, "/a?continue=a%2Bb%2Fc%3D%26d"],
  ] as const) {
    it(`makes ${expected} of ${path} and ${JSON.stringify(parameters)}`, () => {
      assert.equal(withQuery(path, parameters), expected);
    });
  }
});
