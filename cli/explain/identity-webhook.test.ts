import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";
import { describeTarget, identityWebhooksIn, type IdentityWebhook } from "./identity-webhook.ts";

const service = { namespace: "eks", name: "webhook" };
const ours = (more: object = {}): object =>
  mutatingWebhookConfiguration({ name: "irsa", clientConfig: { service }, ...more });
const named = (name: string, clientConfig: object, more: object = {}): object => ({
  metadata: { name: "configuration" },
  webhooks: [{ name, clientConfig, ...more }],
});
const rules = [{ apiGroups: [""], operations: ["CREATE"], resources: ["pods"] }];

function find(...items: readonly object[]): readonly IdentityWebhook[] {
  return identityWebhooksIn({ items });
}

describe("identityWebhooksIn", () => {
  it("finds both tiers of ours", () => {
    const found = find(ours({ clientConfig: { service, caPem: "PEM" } }));
    assert.deepEqual(
      found.map(({ tier, failurePolicy, asksForPods, isOurs, caPem }) => [
        tier,
        failurePolicy,
        asksForPods,
        isOurs,
        caPem,
      ]),
      [
        ["enabled", "Ignore", true, true, "PEM"],
        ["required", "Fail", true, true, "PEM"],
      ],
    );
    assert.deepEqual(
      found.map(({ target }) => describeTarget(target)),
      ["Service eks/webhook, port 443", "Service eks/webhook, port 443"],
    );
  });

  const byName: readonly (readonly [string, object, number])[] = [
    ["AWS's by its name", named("pod-identity-webhook.amazonaws.com", { url: "https://x/" }), 1],
    ["that of EKS by its name", named("iam-for-pods.amazonaws.com", { url: "https://x/" }), 1],
    [
      "AWS's under another name by its Service",
      named("x.example.com", { service: { namespace: "a", name: "pod-identity-webhook" } }),
      1,
    ],
    ["no other", named("sidecars.example.com", { service: { namespace: "a", name: "b" } }), 0],
    ["nothing in a configuration without webhooks", { metadata: { name: "x" } }, 0],
  ];
  for (const [name, item, count] of byName) {
    it(`finds ${name}`, () => assert.equal(find(item).length, count));
  }

  it("takes the defaults of the API for what is absent", () => {
    const [found] = find(named("iam-for-pods.amazonaws.com", { url: "https://x:9/mutate" }));
    assert.equal(found?.failurePolicy, "Fail");
    assert.equal(found?.asksForPods, false);
    assert.equal(found?.caPem, "");
    assert.equal(found?.takesNamespace("any", {}), true);
    assert.equal(describeTarget(found.target), "https://x:9/mutate");
  });

  const pods: readonly (readonly [string, readonly object[], boolean])[] = [
    ["CREATE of pods", rules, true],
    ["everything", [{ apiGroups: ["*"], operations: ["*"], resources: ["*/*"] }], true],
    ["only UPDATE of pods", [{ ...rules[0], operations: ["UPDATE"] }], false],
    ["only a part of pods", [{ ...rules[0], resources: ["pods/status"] }], false],
    ["pods of another group", [{ ...rules[0], apiGroups: ["metrics.k8s.io"] }], false],
    ["nothing", [], false],
  ];
  for (const [name, own, expected] of pods) {
    it(`with rules for ${name} ${expected ? "is" : "is not"} asked for pods`, () => {
      const [found] = find(
        named("iam-for-pods.amazonaws.com", { url: "https://x/" }, { rules: own }),
      );
      assert.equal(found?.asksForPods, expected);
    });
  }

  it("leaves out the namespaces that our conditions exempt, and no other", () => {
    const [enabled] = find(ours({ allNamespaces: true, exemptNamespaces: ["irsa"] }));
    const taken = ["kube-system", "irsa", "irsa-2", "system", "team"].filter((name) =>
      enabled?.takesNamespace(name, {}),
    );
    assert.deepEqual(taken, ["irsa-2", "system", "team"]);
  });

  it("leaves out pods by objectSelector", () => {
    const [enabled] = find(ours());
    assert.equal(enabled?.takesPod({}), true);
    assert.equal(enabled?.takesPod({ "irsa-anywhere.io/injection": "disabled" }), false);
  });
});
