import { randomUUID } from "node:crypto";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import jsonPatch from "fast-json-patch";
import { z } from "zod";
import { reasonOf } from "../../../lib/errors.ts";
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

const Answer = z.looseObject({
  response: z.looseObject({
    uid: z.string(),
    allowed: z.boolean(),
    patch: z.base64().optional(),
    status: z.looseObject({ message: z.string().default("") }).optional(),
  }),
});

const Patch = z.array(z.looseObject({ op: z.enum(["add"]), path: z.string(), value: z.unknown() }));

/** Sends a pod through every webhook that covers its namespace, as kube-apiserver does on create. */
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
  webhook: Webhook,
  pod: KubeObject,
  namespace: string,
): Promise<KubeObject> {
  const uid = randomUUID();
  let answer: z.infer<typeof Answer>;
  try {
    answer = Answer.parse(JSON.parse(await post(webhook, reviewOf(uid, pod, namespace))));
    if (answer.response.uid !== uid) throw new Error("the answer has another uid");
  } catch (err) {
    if (webhook.failurePolicy === "Ignore") return pod;
    const message = `failed calling webhook "${webhook.name}": ${reasonOf(err)}`;
    throw new StatusError(500, "InternalError", message);
  }
  const { allowed, patch, status } = answer.response;
  if (!allowed) {
    const message = `admission webhook "${webhook.name}" denied the request: ${status?.message ?? ""}`;
    throw new StatusError(403, "Forbidden", message);
  }
  if (patch === undefined) return pod;
  const operations = Patch.parse(JSON.parse(Buffer.from(patch, "base64").toString("utf8")));
  return jsonPatch.applyPatch(structuredClone(pod), operations, true).newDocument;
}

/** The question kube-apiserver asks a webhook when a pod is created. */
export function reviewOf(uid: string, pod: KubeObject, namespace: string): object {
  const version = { group: "", version: "v1" };
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid,
      kind: { ...version, kind: "Pod" },
      resource: { ...version, resource: "pods" },
      namespace,
      operation: "CREATE",
      dryRun: false,
      object: pod,
    },
  };
}

async function post({ clientConfig, timeoutSeconds }: Webhook, body: object): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = request(
    clientConfig.url,
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      ca: Buffer.from(clientConfig.caBundle, "base64"),
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
      agent: false,
    },
    (response) => {
      if (response.statusCode === 200) text(response).then(resolve, reject);
      else reject(new Error(`the webhook answered ${response.statusCode}`));
    },
  );
  call.on("error", reject);
  call.end(JSON.stringify(body));
  return promise;
}
