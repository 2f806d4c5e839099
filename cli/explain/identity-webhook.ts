import { z } from "zod";
import { MUTATE_PATHS, type Tier } from "../../webhook/coverage/tier.ts";
import { LabelSelector, selects } from "./label-selector.ts";

const text = z.string().nullish();
const Service = z.looseObject({
  namespace: z.string(),
  name: z.string(),
  port: z.number().nullish(),
  path: text,
});
const Webhook = z.looseObject({
  name: z.string(),
  clientConfig: z.looseObject({ url: text, service: Service.nullish(), caBundle: text }),
  rules: z
    .array(
      z.looseObject({
        apiGroups: z.array(z.string()).nullish(),
        operations: z.array(z.string()).nullish(),
        resources: z.array(z.string()).nullish(),
      }),
    )
    .nullish(),
  failurePolicy: text,
  namespaceSelector: LabelSelector.nullish(),
  objectSelector: LabelSelector.nullish(),
  matchConditions: z.array(z.looseObject({ expression: z.string() })).nullish(),
});
const List = z.looseObject({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string() }),
      webhooks: z.array(Webhook).nullish(),
    }),
  ),
});

type Webhook = z.infer<typeof Webhook>;
type Labels = Readonly<Record<string, string | null | undefined>>;

/** A webhook that gives pods an identity: ours, or AWS's, which reads the same annotation. */
export interface IdentityWebhook {
  /** Name of its MutatingWebhookConfiguration. */
  readonly configuration: string;
  readonly name: string;
  readonly isOurs: boolean;
  readonly tier: Tier;
  readonly failurePolicy: string;
  readonly target: WebhookTarget;
  /** PEM; empty where the API server uses the roots of its machine. */
  readonly caPem: string;
  readonly asksForPods: boolean;
  /** Whether its selector and conditions take pods of a namespace. */
  takesNamespace(name: string, labels: Labels): boolean;
  takesPod(labels: Labels): boolean;
}

/** Where the API server sends its reviews. */
export type WebhookTarget =
  | { readonly kind: "url"; readonly url: string }
  | {
      readonly kind: "service";
      readonly namespace: string;
      readonly name: string;
      readonly port: number;
    };

/** Names of AWS's webhook in its own manifests and on EKS. */
const AWS_NAMES: ReadonlySet<string> = new Set([
  "pod-identity-webhook.amazonaws.com",
  "iam-for-pods.amazonaws.com",
]);
const OUR_DOMAIN = ".irsa-anywhere.io";
const AWS_SERVICE = "pod-identity-webhook";

/**
 * Finds the webhooks for identities in a list of MutatingWebhookConfigurations, by their names, or
 * by the Service that AWS's is deployed with under whatever name.
 *
 * @throws ZodError when it is no such list.
 */
export function identityWebhooksIn(list: unknown): readonly IdentityWebhook[] {
  return List.parse(list).items.flatMap(({ metadata, webhooks }) =>
    (webhooks ?? [])
      .filter(
        ({ name, clientConfig }) =>
          name.endsWith(OUR_DOMAIN) ||
          AWS_NAMES.has(name) ||
          clientConfig.service?.name === AWS_SERVICE,
      )
      .map((webhook) => identityWebhook(metadata.name, webhook)),
  );
}

/** The target in words. */
export function describeTarget(target: WebhookTarget): string {
  if (target.kind === "url") return target.url;
  return `Service ${target.namespace}/${target.name}, port ${target.port}`;
}

function identityWebhook(configuration: string, webhook: Webhook): IdentityWebhook {
  const { name, clientConfig, rules, failurePolicy } = webhook;
  const { namespaceSelector, objectSelector, matchConditions } = webhook;
  const { url, service, caBundle } = clientConfig;
  const path = service?.path ?? (URL.canParse(url ?? "") ? new URL(url ?? "").pathname : "");
  return {
    configuration,
    name,
    isOurs: name.endsWith(OUR_DOMAIN),
    tier: path === MUTATE_PATHS.required ? "required" : "enabled",
    // The default of `admissionregistration.k8s.io/v1`.
    failurePolicy: failurePolicy ?? "Fail",
    target: service
      ? {
          kind: "service",
          namespace: service.namespace,
          name: service.name,
          port: service.port ?? 443,
        }
      : { kind: "url", url: url ?? "" },
    caPem: Buffer.from(caBundle ?? "", "base64").toString("utf8"),
    asksForPods: (rules ?? []).some(
      ({ apiGroups, operations, resources }) =>
        hasAny(apiGroups, ["", "*"]) &&
        hasAny(operations, ["CREATE", "*"]) &&
        hasAny(resources, ["pods", "*", "*/*"]),
    ),
    takesNamespace: (namespace, labels) =>
      selects(namespaceSelector, labels) &&
      !(matchConditions ?? []).some(({ expression }) =>
        exemptIn(expression).includes(`'${namespace}'`),
      ),
    takesPod: (labels) => selects(objectSelector, labels),
  };
}

function hasAny(list: readonly string[] | null | undefined, wanted: readonly string[]): boolean {
  return (list ?? []).some((entry) => wanted.includes(entry));
}

/** The quoted names in a condition of the form that our configurations have; else none. */
function exemptIn(expression: string): readonly string[] {
  const [, names = ""] = /^!\(request\.namespace in \[(.*)\]\)$/.exec(expression) ?? [];
  return names.split(",").map((name) => name.trim());
}
