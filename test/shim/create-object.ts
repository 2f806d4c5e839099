import { z } from "zod";
import type { KubeConnection } from "../../lib/kube/connection.ts";

const TIMEOUT_MS = 30_000;
const Created = z.looseObject({ metadata: z.looseObject({ uid: z.string() }) });

/** Creates an object of the API. @returns its UID. @throws Error with the API server's answer. */
export async function createObject(
  kube: KubeConnection,
  path: string,
  object: object,
): Promise<string> {
  const request = { method: "POST", path, body: object, timeoutMs: TIMEOUT_MS };
  const { status, body } = await kube.request(request);
  if (status !== 201) throw new Error(`Cannot create in ${path}: ${JSON.stringify(body)}`);
  return Created.parse(body).metadata.uid;
}

/** Changes the status of an object by a merge patch (RFC 7386). @throws Error as above. */
export async function patchStatus(
  kube: KubeConnection,
  path: string,
  status: object,
): Promise<void> {
  const answer = await kube.request({
    method: "PATCH",
    path: `${path}/status`,
    contentType: "application/merge-patch+json",
    body: { status },
    // The whole pod comes back otherwise, which nobody reads.
    accept: "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
    timeoutMs: TIMEOUT_MS,
  });
  if (answer.status !== 200) {
    throw new Error(`Cannot patch ${path}: ${JSON.stringify(answer.body)}`);
  }
}

/** Deletes an object at once, without a time to end in. @throws Error as above. */
export async function deleteObject(kube: KubeConnection, path: string): Promise<void> {
  const now = `${path}?gracePeriodSeconds=0`;
  const answer = await kube.request({ method: "DELETE", path: now, timeoutMs: TIMEOUT_MS });
  if (answer.status !== 200) {
    throw new Error(`Cannot delete ${path}: ${JSON.stringify(answer.body)}`);
  }
}
