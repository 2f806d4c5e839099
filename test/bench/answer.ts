import jsonPatch from "fast-json-patch";
import { z } from "zod";

const Answer = z.looseObject({
  response: z.looseObject({ allowed: z.literal(true), patch: z.string().optional() }),
});
const Review = z.looseObject({ request: z.looseObject({ object: z.unknown() }) });
const Operations = z.array(z.custom<jsonPatch.Operation>());

/** The patch of an answer that allows, as JSON text; undefined without one. */
export function patchOf(answer: string): string | undefined {
  const { patch } = Answer.parse(JSON.parse(answer)).response;
  return patch === undefined ? undefined : Buffer.from(patch, "base64").toString();
}

/** Whether an answer allows the pod and gives it an identity. */
export function isMutated(answer: string): boolean {
  return patchOf(answer)?.includes("AWS_ROLE_ARN") ?? false;
}

/** What becomes of a pod's review when its pod is patched, as JSON text. */
export function patchedReview(review: string, patch: string): string {
  const { request, ...rest } = Review.parse(JSON.parse(review));
  const { object } = request;
  const { newDocument } = jsonPatch.applyPatch(object, Operations.parse(JSON.parse(patch)));
  return JSON.stringify({ ...rest, request: { ...request, object: newDocument } });
}
