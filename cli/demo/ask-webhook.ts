import { randomUUID } from "node:crypto";
import { request } from "node:https";
import { text } from "node:stream/consumers";
import { z } from "zod";

/** One operation of the JSON patch that a webhook answered; ours only ever adds. */
export interface AddOperation {
  readonly op: "add";
  readonly path: string;
  readonly value: unknown;
}

export interface Verdict {
  readonly allowed: boolean;
  /** Empty when the webhook changes nothing. */
  readonly patch: readonly AddOperation[];
  /** Why it refused, when it did. */
  readonly message: string;
}

const Answer = z.looseObject({
  response: z.looseObject({
    uid: z.string(),
    allowed: z.boolean(),
    patch: z.base64().optional(),
    status: z.looseObject({ message: z.string().default("") }).optional(),
  }),
});

const Patch = z.array(z.object({ op: z.literal("add"), path: z.string(), value: z.unknown() }));

/**
 * Asks a webhook over TLS what kube-apiserver asks it when a pod is created.
 *
 * @throws Error when it does not answer, or not to this question.
 */
export async function askWebhook(
  webhook: { readonly url: string; readonly caPem: string; readonly timeoutMs: number },
  pod: object,
  namespace: string,
): Promise<Verdict> {
  const uid = randomUUID();
  const { response } = Answer.parse(JSON.parse(await post(webhook, reviewOf(uid, pod, namespace))));
  if (response.uid !== uid) throw new Error("the answer belongs to another review");
  const patch = Buffer.from(response.patch ?? "", "base64").toString("utf8");
  return {
    allowed: response.allowed,
    patch: patch === "" ? [] : Patch.parse(JSON.parse(patch)),
    message: response.status?.message ?? "",
  };
}

function reviewOf(uid: string, pod: object, namespace: string): object {
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

async function post(
  { url, caPem, timeoutMs }: { url: string; caPem: string; timeoutMs: number },
  body: object,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const call = request(
    url,
    {
      method: "POST",
      headers: { "content-type": "application/json" },
      ca: caPem,
      signal: AbortSignal.timeout(timeoutMs),
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
