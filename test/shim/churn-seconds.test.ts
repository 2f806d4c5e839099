import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { churnSeconds } from "./churn-seconds.ts";

describe("churnSeconds", () => {
  for (const [env, seconds] of [
    [{}, 60],
    [{ CI: "false" }, 60],
    [{ CI: "true" }, 10],
    [{ CI: "true", IRSA_CHURN_SECONDS: "" }, 10],
    [{ CI: "true", IRSA_CHURN_SECONDS: "90" }, 90],
    [{ IRSA_CHURN_SECONDS: "5" }, 5],
  ] as const) {
    it(`is ${seconds} with ${JSON.stringify(env)}`, () => {
      assert.equal(churnSeconds(env, { ci: 10 }), seconds);
    });
  }
});
