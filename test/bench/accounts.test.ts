import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { accountOf, annotatedAccount, annotatedAmong, lastAccount } from "./accounts.ts";

describe("the ServiceAccounts", () => {
  for (const [count, annotated, withRole, without] of [
    [20, 2, 10, 19],
    [21, 3, 20, 19],
    [22, 3, 20, 21],
    [50_000, 5000, 49_990, 49_999],
  ] as const) {
    it(`${annotated} of ${count} have a role, the last is ${withRole}`, () => {
      assert.equal(annotatedAmong(count), annotated);
      assert.equal(lastAccount(count, true), withRole);
      assert.equal(lastAccount(count, false), without);
      assert.equal(annotatedAccount(count, annotated - 1), withRole);
      assert.equal(annotatedAccount(count, annotated), 0);
    });
  }

  it("are spread over namespaces", () => {
    assert.deepEqual(accountOf(51), { namespace: "bench-1", serviceAccount: "account-51" });
  });
});
