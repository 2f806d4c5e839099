import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { callerRefusal, credentialRefusal, otherRoleRefusal, roleRefusal } from "./refusals.ts";

const nowMs = Date.UTC(2026, 0, 1);
const failure = { code: "AccessDenied", message: "Not authorized" };

describe("refusals", () => {
  const CASES = [
    [callerRefusal({ status: "unknown" }, nowMs), 404, "caller-unknown"],
    [callerRefusal({ status: "ambiguous", podNames: ["a", "b"] }, nowMs), 503, "caller-ambiguous"],
    [callerRefusal({ status: "unavailable", reason: "r" }, nowMs), 503, "caller-unavailable"],
    [roleRefusal({ status: "none" }, nowMs), 404, "no-role"],
    [roleRefusal({ status: "forbidden", reason: "r" }, nowMs), 403, "role-forbidden"],
    [roleRefusal({ status: "unavailable", reason: "r" }, nowMs), 503, "role-unavailable"],
    [otherRoleRefusal(404, nowMs), 404, "other-role"],
    [otherRoleRefusal(403, nowMs), 403, "other-role"],
    [credentialRefusal({ kind: "refused", ...failure }, nowMs), 403, "credentials-refused"],
    [credentialRefusal({ kind: "throttled", ...failure }, nowMs), 503, "credentials-throttled"],
    [credentialRefusal({ kind: "unavailable", ...failure }, nowMs), 503, "credentials-unavailable"],
    [credentialRefusal({ kind: "token-missing", ...failure }, nowMs), 503, "token-missing"],
  ] as const;
  for (const [answer, status, reason] of CASES) {
    it(`${reason} is ${status}, with a code and a sentence`, () => {
      assert.equal(answer.status, status);
      assert.equal(answer.reason, reason);
      const body = JSON.parse(answer.body);
      assert.deepEqual(Object.keys(body), ["Code", "Message", "LastUpdated"]);
      assert.notEqual(body.Code, "Success");
    });
  }

  it("say when it is worth asking again, in whole seconds", () => {
    const headers = [0, 4001].map(
      (retryAfterMs) =>
        credentialRefusal({ kind: "throttled", ...failure, retryAfterMs }, nowMs).headers,
    );
    assert.deepEqual(headers, [{ "retry-after": "1" }, { "retry-after": "5" }]);
  });

  it("name no other pod, whatever is logged", () => {
    const answer = callerRefusal({ status: "ambiguous", podNames: ["payments-0"] }, nowMs);
    assert.equal(answer.detail, "payments-0");
    assert.ok(!answer.body.includes("payments-0"));
  });
});
