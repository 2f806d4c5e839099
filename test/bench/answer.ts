import { z } from "zod";
import type { AddOperation } from "../../webhook/patch.ts";

const Answer = z.looseObject({
  response: z.looseObject({ allowed: z.literal(true), patch: z.string().optional() }),
});
const Operations = z.array(
  z.object({ op: z.literal("add"), path: z.string(), value: z.unknown() }),
);

/** The patch of an answer that allows, as JSON text; undefined without one. */
export function patchOf(answer: string): string | undefined {
  const { patch } = Answer.parse(JSON.parse(answer)).response;
  return patch === undefined ? undefined : Buffer.from(patch, "base64").toString();
}

/** Whether an answer allows the pod and gives it an identity. */
export function isMutated(answer: string): boolean {
  return patchOf(answer)?.includes("AWS_ROLE_ARN") ?? false;
}

/** The operations of a patch, as JSON text. */
export function operationsOf(patch: string): readonly AddOperation[] {
  return Operations.parse(JSON.parse(patch));
}
