import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { judge } from "./churn.ts";

describe("judge", () => {
  it("finds who got the key of another, and keys that AWS never gave", () => {
    const subjects = new Map([
      ["ASIA1", "system:serviceaccount:churn:pod-1"],
      ["ASIA2", "system:serviceaccount:churn:pod-2"],
    ]);
    const verdict = judge(
      [
        { pod: "pod-1", status: 200, keyId: "ASIA1" },
        { pod: "pod-1", status: 200, keyId: "ASIA1" },
        { pod: "pod-2", status: 404 },
        { pod: "pod-2", status: 200, keyId: "ASIA1" },
        { pod: "pod-2", status: 200, keyId: "ASIA3" },
      ],
      subjects,
    );
    assert.deepEqual(verdict, {
      answers: 4,
      served: 2,
      keys: 2,
      wrong: ["pod-2 got that of system:serviceaccount:churn:pod-1", "pod-2 got that of undefined"],
      byStatus: { "200": 4, "404": 1 },
    });
  });
});
