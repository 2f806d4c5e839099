import { z } from "zod";

/** A refusal as the API server words it (Kubernetes API, `meta/v1` Status). */
export const ApiStatus = z.looseObject({
  code: z.number().int().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  details: z.looseObject({ causes: z.array(z.unknown()).nullish() }).nullish(),
});

export type ApiStatus = z.infer<typeof ApiStatus>;

const MAX_MESSAGE = 300;

/** One sentence for logs: the status code and, where the body is a Status, its message. */
export function refusalText(code: number, body: unknown): string {
  const status = ApiStatus.safeParse(body).data;
  const message = status?.message ?? status?.reason ?? "";
  return message === "" ? `answered ${code}` : `answered ${code}: ${message.slice(0, MAX_MESSAGE)}`;
}

/**
 * Whether a JSON Patch was refused because it does not apply to what is stored: a `test` in it failed,
 * or a path is not there. An API server answers 422 then, as for an object that is invalid, but has no
 * field to name as the cause.
 */
export function isPatchOutdated(code: number, body: unknown): boolean {
  const causes = ApiStatus.safeParse(body).data?.details?.causes ?? [];
  return code === 422 && causes.length === 0;
}
