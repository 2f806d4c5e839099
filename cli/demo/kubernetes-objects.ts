/** Names that the demo uses, in the cluster and in AWS alike. */
export const NAMESPACE = "reports";
export const SERVICE_ACCOUNT = "report-reader";
export const OTHER_SERVICE_ACCOUNT = "somebody-else";
export const ROLE_NAME = "report-reader";
export const AUDIENCE = "sts.amazonaws.com";

/** The namespace, opted in to injection. */
export const namespace = {
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name: NAMESPACE, labels: { "irsa-anywhere.io/injection": "enabled" } },
};

/** A ServiceAccount that asks for a role. */
export function serviceAccount(name: string, roleArn: string): object {
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: {
      name,
      namespace: NAMESPACE,
      annotations: { "eks.amazonaws.com/role-arn": roleArn },
    },
  };
}

/** A pod as a developer writes it: nothing in it speaks of AWS. */
export const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "report", namespace: NAMESPACE },
  spec: {
    serviceAccountName: SERVICE_ACCOUNT,
    containers: [
      {
        name: "report",
        image: "registry.example/report:1.4",
        env: [{ name: "REPORT_BUCKET", value: "quarterly-reports" }],
      },
    ],
  },
};

/** Tells the API server to ask the webhook about each new pod of a labelled namespace. */
export function webhookConfiguration(url: string, caPem: string): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "irsa-anywhere" },
    webhooks: [
      {
        name: "enabled.irsa-anywhere.io",
        clientConfig: { url, caBundle: Buffer.from(caPem).toString("base64") },
        rules: [
          { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] },
        ],
        namespaceSelector: { matchLabels: { "irsa-anywhere.io/injection": "enabled" } },
        // Here a failure must show; for the label `enabled` a cluster uses Ignore.
        failurePolicy: "Fail",
        sideEffects: "None",
        reinvocationPolicy: "IfNeeded",
        timeoutSeconds: 5,
        admissionReviewVersions: ["v1"],
      },
    ],
  };
}
