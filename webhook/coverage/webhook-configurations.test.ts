import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  mutatingWebhookConfiguration,
  validatingWebhookConfiguration,
} from "./webhook-configurations.ts";

interface Webhook {
  readonly name: string;
  readonly clientConfig: object;
  readonly failurePolicy: string;
  readonly namespaceSelector?: object;
  readonly matchConditions: readonly { readonly name: string; readonly expression: string }[];
  readonly [field: string]: unknown;
}

const service = { namespace: "irsa-system", name: "irsa-webhook" };

function webhooksOf(configuration: object): readonly Webhook[] {
  return (configuration as { webhooks: readonly Webhook[] }).webhooks;
}

describe("mutatingWebhookConfiguration", () => {
  const options = { name: "irsa-anywhere", clientConfig: { service, caPem: "PEM" } };
  const [enabled, required] = webhooksOf(mutatingWebhookConfiguration(options));

  it("sends the two tiers to two paths, and fails only for the one that requires it", () => {
    const told = [enabled, required].map((webhook) => [
      webhook?.name,
      webhook?.clientConfig,
      webhook?.namespaceSelector,
      webhook?.failurePolicy,
    ]);
    const caBundle = Buffer.from("PEM").toString("base64");
    assert.deepEqual(told, [
      [
        "enabled.irsa-anywhere.io",
        { service: { ...service, port: 443, path: "/mutate" }, caBundle },
        { matchLabels: { "irsa-anywhere.io/injection": "enabled" } },
        "Ignore",
      ],
      [
        "required.irsa-anywhere.io",
        { service: { ...service, port: 443, path: "/mutate/required" }, caBundle },
        { matchLabels: { "irsa-anywhere.io/injection": "required" } },
        "Fail",
      ],
    ]);
  });

  it("asks for new pods and ephemeral containers, again after other webhooks, for 5 s at most", () => {
    for (const webhook of [enabled, required]) {
      const { rules, sideEffects, reinvocationPolicy, timeoutSeconds, admissionReviewVersions } =
        webhook ?? assert.fail();
      const common = { apiGroups: [""], apiVersions: ["v1"], scope: "Namespaced" };
      assert.deepEqual(rules, [
        { ...common, operations: ["CREATE"], resources: ["pods"] },
        { ...common, operations: ["UPDATE"], resources: ["pods/ephemeralcontainers"] },
      ]);
      assert.deepEqual(
        { sideEffects, reinvocationPolicy, timeoutSeconds, admissionReviewVersions },
        {
          sideEffects: "None",
          reinvocationPolicy: "IfNeeded",
          timeoutSeconds: 5,
          admissionReviewVersions: ["v1"],
        },
      );
    }
  });

  it("leaves out labelled pods, mirror pods, system namespaces and those that are exempt", () => {
    const [first] = webhooksOf(
      mutatingWebhookConfiguration({ ...options, exemptNamespaces: ["irsa-system"] }),
    );
    assert.deepEqual(first?.["objectSelector"], {
      matchExpressions: [
        { key: "eks.amazonaws.com/skip-pod-identity-webhook", operator: "DoesNotExist" },
        { key: "irsa-anywhere.io/injection", operator: "NotIn", values: ["disabled"] },
      ],
    });
    assert.deepEqual(
      first.matchConditions.map(({ expression }) => expression),
      [
        "!(request.namespace in ['kube-system', 'kube-public', 'kube-node-lease', 'irsa-system'])",
        "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)",
      ],
    );
  });

  it("covers all namespaces that are not labelled otherwise, on demand", () => {
    const all = webhooksOf(mutatingWebhookConfiguration({ ...options, allNamespaces: true }));
    assert.deepEqual(
      all.map(({ namespaceSelector }) => namespaceSelector),
      [
        {
          matchExpressions: [
            {
              key: "irsa-anywhere.io/injection",
              operator: "NotIn",
              values: ["required", "disabled"],
            },
          ],
        },
        { matchLabels: { "irsa-anywhere.io/injection": "required" } },
      ],
    );
  });

  it("takes a URL, whatever its path, and leaves out an unknown authority", () => {
    const clientConfig = { url: "https://127.0.0.1:8443/any" };
    assert.deepEqual(
      webhooksOf(mutatingWebhookConfiguration({ name: "x", clientConfig })).map(
        (webhook) => webhook.clientConfig,
      ),
      [{ url: "https://127.0.0.1:8443/mutate" }, { url: "https://127.0.0.1:8443/mutate/required" }],
    );
  });
});

describe("validatingWebhookConfiguration", () => {
  it("asks for ServiceAccounts and Namespaces and never fails a request", () => {
    const webhooks = webhooksOf(
      validatingWebhookConfiguration({ name: "irsa-anywhere", clientConfig: { service } }),
    );
    const common = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE", "UPDATE"] };
    const namespaces = "['kube-system', 'kube-public', 'kube-node-lease']";
    assert.deepEqual(
      webhooks.map((webhook) => [
        webhook.name,
        webhook["rules"],
        webhook.failurePolicy,
        webhook.matchConditions.map(({ expression }) => expression),
      ]),
      [
        [
          "serviceaccounts.irsa-anywhere.io",
          [{ ...common, resources: ["serviceaccounts"], scope: "Namespaced" }],
          "Ignore",
          [`!(request.namespace in ${namespaces})`],
        ],
        [
          "namespaces.irsa-anywhere.io",
          [{ ...common, resources: ["namespaces"], scope: "Cluster" }],
          "Ignore",
          [`!has(object.metadata.name) || !(object.metadata.name in ${namespaces})`],
        ],
      ],
    );
    for (const webhook of webhooks) {
      assert.deepEqual(webhook.clientConfig, {
        service: { ...service, port: 443, path: "/validate" },
      });
    }
  });

  it("asks for every token that the metadata shim wants, and fails without an answer", () => {
    const tokenRequester = "system:serviceaccount:irsa-system:irsa-shim";
    const options = { name: "irsa-anywhere", clientConfig: { service }, tokenRequester };
    const webhook = webhooksOf(validatingWebhookConfiguration(options))[2] ?? assert.fail();
    assert.deepEqual(
      [webhook.name, webhook.clientConfig, webhook.failurePolicy, webhook.matchConditions],
      [
        "tokenrequests.irsa-anywhere.io",
        { service: { ...service, port: 443, path: "/validate/token-requests" } },
        "Fail",
        [
          {
            name: "metadata-shim",
            expression: `request.userInfo.username == '${tokenRequester}'`,
          },
        ],
      ],
    );
    assert.deepEqual(webhook["rules"], [
      {
        apiGroups: [""],
        apiVersions: ["v1"],
        operations: ["CREATE"],
        resources: ["serviceaccounts/token"],
        scope: "Namespaced",
      },
    ]);
  });
});
