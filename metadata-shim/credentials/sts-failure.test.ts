import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CONNECTION_CUT, stsFailure } from "./sts-failure.ts";

const NO_KEY =
  "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity documentation for requirements";

describe("stsFailure", () => {
  for (const [code, status, message, kind] of [
    ["AccessDenied", 403, "Not authorized to perform sts:AssumeRoleWithWebIdentity", "refused"],
    ["InvalidIdentityToken", 400, "No OpenIDConnect provider found in your account", "refused"],
    ["InvalidIdentityToken", 400, NO_KEY, "unavailable"],
    ["IDPRejectedClaim", 403, "", "refused"],
    ["ValidationError", 400, "", "refused"],
    ["RegionDisabledException", 403, "", "refused"],
    ["SomethingNew", 400, "", "refused"],
    ["ExpiredTokenException", 400, "Token expired", "unavailable"],
    ["IDPCommunicationError", 400, "", "unavailable"],
    ["InternalFailure", 500, "", "unavailable"],
    ["ServiceUnavailable", 503, "", "unavailable"],
    ["Throttling", 400, "Rate exceeded", "throttled"],
    ["TooManyRequestsException", 429, "", "throttled"],
    ["Unknown", 429, "", "throttled"],
    [CONNECTION_CUT, undefined, "socket hang up", "unavailable"],
    ["Timeout", undefined, "no answer within 10000 ms", "unavailable"],
  ] as const) {
    it(`${code} ${status} ${message.slice(0, 30)}: ${kind}`, () => {
      assert.deepEqual(stsFailure({ code, status, message }), { kind, code, message });
    });
  }

  it("tells no more than the beginning of a long message", () => {
    const { message } = stsFailure({ code: "A", status: 400, message: "x".repeat(5000) });
    assert.equal(message.length, 300);
  });
});
