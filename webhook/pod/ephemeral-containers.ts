import { z } from "zod";
import type { Pod } from "./pod.ts";

const text = z.string().nullish();
const Known = z.looseObject({
  spec: z.looseObject({ ephemeralContainers: z.array(z.looseObject({ name: text })).nullish() }),
});

/**
 * Names of the ephemeral containers that a pod is about to get (`kubectl debug`). Those that it has
 * can no longer change, so a patch of them would make the API server refuse the new ones, too.
 *
 * @param oldObject The pod as it is, from the review.
 */
export function newEphemeralContainers({ spec }: Pod, oldObject: unknown): ReadonlySet<string> {
  const old = Known.safeParse(oldObject).data?.spec.ephemeralContainers ?? [];
  const known = new Set(old.map(({ name }) => name));
  const names = (spec?.ephemeralContainers ?? []).map(({ name }) => name ?? "");
  return new Set(names.filter((name) => !known.has(name)));
}
