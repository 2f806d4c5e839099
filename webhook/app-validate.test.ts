import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REVIEW, ROLE_ARN, serveWebhook } from "../test/fakes/served-webhook.ts";

describe("POST /validate", () => {
  const key = "eks.amazon.com/role-arn";
  const warning = `annotation ${key} is not read: write eks.amazonaws.com/role-arn`;
  const request = {
    uid: "u-3",
    namespace: "team",
    operation: "CREATE",
    resource: { group: "", version: "v1", resource: "serviceaccounts" },
    object: { kind: "ServiceAccount", metadata: { name: "app", annotations: { [key]: ROLE_ARN } } },
  };
  const body = JSON.stringify({ ...REVIEW, request });

  it("warns of a mistake, logs it and counts it", async () => {
    await using served = await serveWebhook();
    const { response } = JSON.parse((await served.send({ path: "/validate", body })).body);
    assert.deepEqual(response, {
      uid: "u-3",
      allowed: true,
      auditAnnotations: { decision: "warned" },
      warnings: [warning],
    });
    const [line] = served.log;
    assert.deepEqual([line?.["msg"], line?.["problems"]], ["Found mistakes", [warning]]);
    const counted = 'irsa_webhook_validations_total{outcome="warned"} 1\n';
    assert.ok((await served.registry.metrics()).includes(counted));
  });

  it("denies it on demand", async () => {
    await using served = await serveWebhook({ validation: "deny" });
    const { response } = JSON.parse((await served.send({ path: "/validate", body })).body);
    assert.deepEqual([response.allowed, response.status.message], [false, warning]);
  });

  it("judges the role by the policy of its namespace", async () => {
    await using served = await serveWebhook({ policyOf: async () => ({ allowedRoles: [] }) });
    const annotations = { "eks.amazonaws.com/role-arn": ROLE_ARN };
    const object = { metadata: { annotations } };
    const { response } = JSON.parse(
      (
        await served.send({
          path: "/validate",
          body: JSON.stringify({ request: { ...request, object } }),
        })
      ).body,
    );
    assert.match(response.warnings[0], /is not in the namespace's irsa-anywhere.io\/allowed-roles/);
  });

  it("answers what is no review as the other paths do", async () => {
    await using served = await serveWebhook();
    const { response } = JSON.parse((await served.send({ path: "/validate", body: "{}" })).body);
    assert.deepEqual([response.allowed, response.status.message], [false, "bad content"]);
    assert.equal((await served.send({ path: "/validate", method: "GET" })).status, 405);
  });
});
