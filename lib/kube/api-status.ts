import { z } from "zod";

/** A refusal as the API server words it (Kubernetes API, `meta/v1` Status). */
export const ApiStatus = z.looseObject({
  code: z.number().int().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
});

export type ApiStatus = z.infer<typeof ApiStatus>;

const MAX_MESSAGE = 300;

/** One sentence for logs: the status code and, where the body is a Status, its message. */
export function refusalText(code: number, body: unknown): string {
  const status = ApiStatus.safeParse(body).data;
  const message = status?.message ?? status?.reason ?? "";
  return message === "" ? `answered ${code}` : `answered ${code}: ${message.slice(0, MAX_MESSAGE)}`;
}
