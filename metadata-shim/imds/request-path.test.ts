import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseRequestPath } from "./request-path.ts";

const CASES: readonly (readonly [target: string, segments: readonly string[] | undefined])[] = [
  ["/", []],
  ["//", []],
  ["/latest/meta-data", ["latest", "meta-data"]],
  ["/latest//meta-data//iam/", ["latest", "meta-data", "iam"]],
  ["/latest?a=/b", ["latest"]],
  ["/latest/?a", ["latest"]],
  ["/x%2Bx%3D%2C%40", ["x+x=,@"]],
  ["/arn%3Aaws", ["arn:aws"]],
  ["/a%252fb", ["a%2fb"]],
  ["/a%20b", ["a b"]],
  ["/%C3%A9", ["é"]],
  ["/a/../b", undefined],
  ["/a/./b", undefined],
  ["/a/%2e%2e/b", undefined],
  ["/a/.%2E/b", undefined],
  ["/a%2fb", undefined],
  ["/a%2Fb", undefined],
  ["/a\\b", undefined],
  ["/a%5cb", undefined],
  ["/a%00b", undefined],
  ["/a%", undefined],
  ["/a%zz", undefined],
  ["/a%ff", undefined],
  ["/...", ["..."]],
  ["/a;x", ["a;x"]],
  ["*", undefined],
  ["", undefined],
  ["http://169.254.169.254/latest", undefined],
  ["latest", undefined],
];

describe("parseRequestPath", () => {
  for (const [target, segments] of CASES) {
    it(JSON.stringify(target), () => assert.deepEqual(parseRequestPath(target), segments));
  }
});
