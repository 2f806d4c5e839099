import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  callerRefusal,
  credentialRefusal,
  otherRoleRefusal,
  roleRefusal,
  type RefusedRequest,
} from "./refusals.ts";

const request: RefusedRequest = { profile: "strict", asked: "credentials", address: "10.1.0.2" };
const failure = { code: "AccessDenied", message: "Not authorized" };

describe("refusals in the strict profile", () => {
  const CASES = [
    [callerRefusal({ status: "unknown" }, request), 404, "caller-unknown"],
    [callerRefusal({ status: "ambiguous", pods: [] }, request), 503, "caller-ambiguous"],
    [callerRefusal({ status: "unavailable", reason: "r" }, request), 503, "caller-unavailable"],
    [roleRefusal({ status: "none" }, request), 404, "no-role"],
    [roleRefusal({ status: "forbidden", reason: "r" }, request), 403, "role-forbidden"],
    [roleRefusal({ status: "unavailable", reason: "r" }, request), 503, "role-unavailable"],
    [otherRoleRefusal(request), 404, "other-role"],
    [credentialRefusal({ kind: "refused", ...failure }), 403, "credentials-refused"],
    [credentialRefusal({ kind: "throttled", ...failure }), 503, "credentials-throttled"],
    [credentialRefusal({ kind: "unavailable", ...failure }), 503, "credentials-unavailable"],
    [credentialRefusal({ kind: "token-missing", ...failure }), 503, "token-missing"],
  ] as const;
  for (const [answer, status, reason] of CASES) {
    it(`${reason} is ${status}, with a sentence`, () => {
      assert.equal(answer.status, status);
      assert.equal(answer.reason, reason);
      assert.notEqual(answer.body, "");
    });
  }

  it("say when it is worth asking again, in whole seconds", () => {
    const headers = [0, 4001].map(
      (retryAfterMs) => credentialRefusal({ kind: "throttled", ...failure, retryAfterMs }).headers,
    );
    assert.deepEqual(headers, [{ "retry-after": "1" }, { "retry-after": "5" }]);
  });

  it("name no other pod, whatever is logged", () => {
    const pods = [{ uid: "1", name: "payments-0", namespace: "pay" }];
    const answer = callerRefusal({ status: "ambiguous", pods }, request);
    assert.equal(answer.detail, "pay/payments-0");
    assert.ok(!answer.body.includes("payments-0"));
  });
});

describe("refusals in the other profiles", () => {
  it("are those of the program whose profile it is", () => {
    const asked = { ...request, requestedName: "x", profile: "kube2iam" } as const;
    assert.equal(otherRoleRefusal(asked).status, 403);
    assert.equal(otherRoleRefusal(asked).body, "Invalid role x\n");
    const kiam = { ...request, profile: "kiam" } as const;
    assert.equal(roleRefusal({ status: "none" }, kiam).body, "empty role\n");
  });
});
