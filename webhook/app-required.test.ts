import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REVIEW, REVIEW_JSON, ROLE_ARN, serveWebhook } from "../test/fakes/served-webhook.ts";
import type { AppDeps } from "./app.ts";

describe("POST /mutate/required", () => {
  it("patches like the other tier, and keeps SDKs from the node's role besides", async () => {
    await using served = await serveWebhook();
    const operations = async (path: string): Promise<readonly object[]> => {
      const { response } = JSON.parse((await served.send({ path, body: REVIEW_JSON })).body);
      return JSON.parse(Buffer.from(response.patch, "base64").toString());
    };
    const block = {
      op: "add",
      path: "/spec/containers/0/env/-",
      value: { name: "AWS_EC2_METADATA_DISABLED", value: "true" },
    };
    const [required, enabled] = [await operations("/mutate/required"), await operations("/mutate")];
    assert.deepEqual(required.toSpliced(3, 1), enabled);
    assert.deepEqual(required[3], block);
  });

  for (const [name, deps, reason, problem] of [
    [
      "whose ServiceAccount does not exist",
      { stateOf: async () => ({ status: "service-account-not-found" }) },
      "service-account-not-found",
      'ServiceAccount "app" does not exist: create it, or name another in spec.serviceAccountName',
    ],
    [
      "whose namespace could not be read",
      { policyOf: async () => undefined },
      "namespace-unavailable",
      "its namespace could not be read: try again; the log of the webhook says why",
    ],
    [
      "whose role its namespace does not allow",
      { policyOf: async () => ({ allowedRoles: [] }) },
      "role-not-allowed",
      `role ${ROLE_ARN} is not in the namespace's irsa-anywhere.io/allowed-roles, which allows none: have it added there`,
    ],
  ] as const satisfies readonly (readonly [string, Partial<AppDeps>, string, string])[]) {
    it(`refuses a pod ${name}; the other path lets it pass with a warning`, async () => {
      await using served = await serveWebhook(deps);
      const refused = JSON.parse(
        (await served.send({ path: "/mutate/required", body: REVIEW_JSON })).body,
      ).response;
      assert.deepEqual([refused.uid, refused.allowed, refused.patch], ["u-1", false, undefined]);
      assert.equal(refused.auditAnnotations.decision, "denied");
      assert.equal(refused.auditAnnotations.reason, reason);
      const since = "Pod refused, since its namespace has irsa-anywhere.io/injection=required";
      assert.equal(refused.status.message, `${since}: ${problem}`);
      assert.deepEqual([refused.status.code, refused.status.reason], [403, "Forbidden"]);

      const passed = JSON.parse((await served.send({ body: REVIEW_JSON })).body).response;
      assert.deepEqual([passed.allowed, passed.patch], [true, undefined]);
      assert.equal(passed.auditAnnotations.reason, reason);
      assert.equal(passed.warnings.length, 1);

      assert.deepEqual(
        served.log.map(({ tier, decision }) => [tier, decision]),
        [
          ["required", "denied"],
          ["enabled", "unchanged"],
        ],
      );
      const counted = `irsa_webhook_reviews_total{outcome="denied",reason="${reason}"} 1\n`;
      assert.ok((await served.registry.metrics()).includes(counted));
    });
  }

  it("asks nobody about a pod that names no ServiceAccount, and lets it pass", async () => {
    await using served = await serveWebhook({
      stateOf: () => assert.fail("a ServiceAccount was asked for"),
      policyOf: () => assert.fail("a namespace was asked for"),
    });
    const object = { spec: { containers: [{ name: "app" }] } };
    const body = JSON.stringify({ request: { ...REVIEW.request, object } });
    const { response } = JSON.parse((await served.send({ path: "/mutate/required", body })).body);
    assert.deepEqual([response.allowed, response.warnings], [true, undefined]);
  });
});
