import jsonPatch from "fast-json-patch";
import { z } from "zod";
import { reasonOf } from "../../../lib/errors.ts";
import { askWebhook, type Verdict } from "../ask-webhook.ts";
import type { KubeObject, Stored } from "./objects.ts";
import { StatusError } from "./status-error.ts";

const Selector = z.looseObject({ matchLabels: z.record(z.string(), z.string()).default({}) });

/** The parts of a MutatingWebhookConfiguration that decide whether and how a webhook is called. */
const Webhook = z.looseObject({
  name: z.string(),
  clientConfig: z.looseObject({ url: z.url(), caBundle: z.string() }),
  failurePolicy: z.enum(["Fail", "Ignore"]).default("Fail"),
  namespaceSelector: Selector.default({ matchLabels: {} }),
  timeoutSeconds: z.number().default(10),
});
type Webhook = z.infer<typeof Webhook>;
const Configuration = z.looseObject({ webhooks: z.array(Webhook).default([]) });

/**
 * Sends a pod through every webhook that covers its namespace, as kube-apiserver does on create.
 *
 * @throws StatusError when a webhook denies, or fails and its policy is Fail.
 */
export async function admit(
  pod: KubeObject,
  namespace: Stored,
  configurations: readonly Stored[],
): Promise<KubeObject> {
  const webhooks = configurations.flatMap((object) => Configuration.parse(object).webhooks);
  let admitted = pod;
  for (const webhook of webhooks) {
    if (!covers(webhook, namespace.metadata.labels ?? {})) continue;
    admitted = await callWebhook(webhook, admitted, namespace.metadata.name);
  }
  return admitted;
}

function covers(webhook: Webhook, labels: Readonly<Record<string, string>>): boolean {
  const wanted = Object.entries(webhook.namespaceSelector.matchLabels);
  return wanted.every(([key, value]) => labels[key] === value);
}

async function callWebhook(
  { name, clientConfig, failurePolicy, timeoutSeconds }: Webhook,
  pod: KubeObject,
  namespace: string,
): Promise<KubeObject> {
  const caPem = Buffer.from(clientConfig.caBundle, "base64").toString("utf8");
  let verdict: Verdict;
  try {
    const webhook = { url: clientConfig.url, caPem, timeoutMs: timeoutSeconds * 1000 };
    verdict = await askWebhook(webhook, pod, namespace);
  } catch (err) {
    if (failurePolicy === "Ignore") return pod;
    throw new StatusError(
      500,
      "InternalError",
      `failed calling webhook "${name}": ${reasonOf(err)}`,
    );
  }
  if (!verdict.allowed) {
    const message = `admission webhook "${name}" denied the request: ${verdict.message}`;
    throw new StatusError(403, "Forbidden", message);
  }
  return jsonPatch.applyPatch(structuredClone(pod), [...verdict.patch], true).newDocument;
}
