import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nearestName } from "./nearest-name.ts";

describe("nearestName", () => {
  const known = ["role-arn", "audience", "token-expiration"] as const;
  for (const [written, maxSlips, expected] of [
    ["role-arn", 0, "role-arn"],
    ["role_arn", 0, "role-arn"],
    ["Role-ARN", 0, "role-arn"],
    ["rolearn", 1, "role-arn"],
    ["rolearn", 0, undefined],
    ["role-anr", 1, "role-arn"],
    ["roles-arn", 1, "role-arn"],
    ["rolle-arm", 2, "role-arn"],
    ["rolle-arm", 1, undefined],
    ["token-expiry", 5, "token-expiration"],
    ["audiences", 2, "audience"],
    ["", 2, undefined],
    ["something-else", 2, undefined],
  ] as const) {
    it(`takes ${JSON.stringify(written)} with ${maxSlips} slips for ${expected ?? "none"}`, () => {
      assert.equal(nearestName(written, known, maxSlips), expected);
    });
  }

  it("takes no time over what is far too long", () => {
    assert.equal(nearestName("a".repeat(1_000_000), known, 2), undefined);
  });
});
