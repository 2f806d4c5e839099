import { INJECTION_LABEL } from "../../webhook/coverage/tier.ts";
import { mutatingWebhookConfiguration } from "../../webhook/coverage/webhook-configurations.ts";

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
  metadata: { name: NAMESPACE, labels: { [INJECTION_LABEL]: "enabled" } },
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
  return mutatingWebhookConfiguration({ name: "irsa-anywhere", clientConfig: { url, caPem } });
}
