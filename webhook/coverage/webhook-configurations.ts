import {
  AWS_SKIP_LABEL,
  INJECTION_DISABLED,
  INJECTION_LABEL,
  MUTATE_PATHS,
  TOKEN_REQUEST_PATH,
  VALIDATE_PATH,
  type Tier,
} from "./tier.ts";

/** How the API server reaches the webhook; the path is added to it. */
export type WebhookClient = (
  | {
      readonly service: {
        readonly namespace: string;
        readonly name: string;
        readonly port?: number;
      };
    }
  /** Any URL of the server; its path is replaced. */
  | { readonly url: string }
) & {
  /** PEM of the authority that signed the server's certificate. */
  readonly caPem?: string | undefined;
};

export interface WebhookConfigurationOptions {
  /** Name of the object. */
  readonly name: string;
  readonly clientConfig: WebhookClient;
  /**
   * Covers every namespace that is not labelled otherwise, as AWS's webhook does; else only those
   * that are labelled.
   */
  readonly allNamespaces?: boolean | undefined;
  /** Namespaces besides Kubernetes' own that are never touched: that of the webhook itself. */
  readonly exemptNamespaces?: readonly string[] | undefined;
}

/** Namespaces of Kubernetes itself, which no failure of a webhook may stop. */
export const SYSTEM_NAMESPACES: readonly string[] = [
  "kube-system",
  "kube-public",
  "kube-node-lease",
];

/** Names of the webhooks in the configurations; they precede the keys in audit annotations. */
export const WEBHOOK_NAMES = {
  enabled: "enabled.irsa-anywhere.io",
  required: "required.irsa-anywhere.io",
  serviceAccounts: "serviceaccounts.irsa-anywhere.io",
  namespaces: "namespaces.irsa-anywhere.io",
  tokenRequests: "tokenrequests.irsa-anywhere.io",
} as const;

const COMMON = {
  sideEffects: "None",
  admissionReviewVersions: ["v1"],
  timeoutSeconds: 5,
} as const;

/**
 * The MutatingWebhookConfiguration: a webhook for each tier.
 *
 * Whatever happens to the server, the API server does not even ask for pods of Kubernetes' own and of
 * exempt namespaces, nor for mirror pods, which stand for containers that run already: these rules
 * are evaluated before a call, so a server that is down cannot stop the cluster from healing itself.
 */
export function mutatingWebhookConfiguration(options: WebhookConfigurationOptions): object {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: options.name },
    webhooks: [podWebhook("enabled", options), podWebhook("required", options)],
  };
}

/**
 * The ValidatingWebhookConfiguration for ServiceAccounts and Namespaces. It never fails a request: a
 * server that is down gives no advice.
 *
 * @param options.tokenRequester User that the metadata shim is where it asks for tokens itself: each
 *   of these requests needs the server's consent, in every namespace. Nobody else's does.
 */
export function validatingWebhookConfiguration(
  options: Omit<WebhookConfigurationOptions, "allNamespaces"> & {
    readonly tokenRequester?: string | undefined;
  },
): object {
  const { name, clientConfig, exemptNamespaces = [], tokenRequester } = options;
  const webhooks = [
    { name: WEBHOOK_NAMES.serviceAccounts, resource: "serviceaccounts", scope: "Namespaced" },
    { name: WEBHOOK_NAMES.namespaces, resource: "namespaces", scope: "Cluster" },
  ];
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingWebhookConfiguration",
    metadata: { name },
    webhooks: [
      ...webhooks.map(({ name: webhookName, resource, scope }) => ({
        name: webhookName,
        clientConfig: clientConfigOf(clientConfig, VALIDATE_PATH),
        rules: [rule(["CREATE", "UPDATE"], resource, scope)],
        failurePolicy: "Ignore",
        matchConditions: [notIn(resource === "namespaces" ? NAMED : NAMESPACED, exemptNamespaces)],
        ...COMMON,
      })),
      ...(tokenRequester === undefined ? [] : [tokenWebhook(tokenRequester, clientConfig)]),
    ],
  };
}

function tokenWebhook(user: string, clientConfig: WebhookClient): object {
  return {
    name: WEBHOOK_NAMES.tokenRequests,
    clientConfig: clientConfigOf(clientConfig, TOKEN_REQUEST_PATH),
    rules: [rule(["CREATE"], "serviceaccounts/token", "Namespaced")],
    failurePolicy: "Fail",
    matchConditions: [
      { name: "metadata-shim", expression: `request.userInfo.username == '${user}'` },
    ],
    ...COMMON,
  };
}

function podWebhook(
  tier: Tier,
  { clientConfig, allNamespaces = false, exemptNamespaces = [] }: WebhookConfigurationOptions,
): object {
  return {
    name: WEBHOOK_NAMES[tier],
    clientConfig: clientConfigOf(clientConfig, MUTATE_PATHS[tier]),
    rules: [
      rule(["CREATE"], "pods", "Namespaced"),
      rule(["UPDATE"], "pods/ephemeralcontainers", "Namespaced"),
    ],
    namespaceSelector:
      tier === "enabled" && allNamespaces
        ? exclude(INJECTION_LABEL, ["required", INJECTION_DISABLED])
        : { matchLabels: { [INJECTION_LABEL]: tier } },
    objectSelector: {
      matchExpressions: [
        { key: AWS_SKIP_LABEL, operator: "DoesNotExist" },
        ...exclude(INJECTION_LABEL, [INJECTION_DISABLED]).matchExpressions,
      ],
    },
    matchConditions: [notIn(NAMESPACED, exemptNamespaces), NO_MIRROR_POD],
    failurePolicy: tier === "required" ? "Fail" : "Ignore",
    reinvocationPolicy: "IfNeeded",
    ...COMMON,
  };
}

// An expression that errs fails the request where failurePolicy is Fail: each asks before it reads.
const NO_MIRROR_POD = {
  name: "no-mirror-pod",
  expression:
    "!has(object.metadata.annotations) || " +
    "!('kubernetes.io/config.mirror' in object.metadata.annotations)",
};

const NAMESPACED = (list: string): string => `!(request.namespace in ${list})`;
const NAMED = (list: string): string =>
  `!has(object.metadata.name) || !(object.metadata.name in ${list})`;

function notIn(
  expressionFor: (list: string) => string,
  exemptNamespaces: readonly string[],
): object {
  const names = [...new Set([...SYSTEM_NAMESPACES, ...exemptNamespaces])];
  const list = `[${names.map((name) => `'${name}'`).join(", ")}]`;
  return { name: "no-system-namespace", expression: expressionFor(list) };
}

function exclude(
  key: string,
  values: readonly string[],
): { readonly matchExpressions: readonly object[] } {
  return { matchExpressions: [{ key, operator: "NotIn", values }] };
}

function rule(operations: readonly string[], resource: string, scope: string): object {
  return { apiGroups: [""], apiVersions: ["v1"], operations, resources: [resource], scope };
}

function clientConfigOf(client: WebhookClient, path: string): object {
  const { caPem } = client;
  const caBundle = caPem === undefined ? {} : { caBundle: Buffer.from(caPem).toString("base64") };
  if ("url" in client) return { url: new URL(path, client.url).href, ...caBundle };
  return { service: { port: 443, ...client.service, path }, ...caBundle };
}
