import { z } from "zod";

const Managed = z.looseObject({
  metadata: z.looseObject({
    managedFields: z
      .array(
        z.looseObject({
          time: z.string().optional(),
          fieldsV1: z
            .looseObject({
              "f:metadata": z
                .looseObject({ "f:annotations": z.record(z.string(), z.unknown()).optional() })
                .optional(),
            })
            .optional(),
        }),
      )
      .optional(),
  }),
});

/**
 * When an annotation of an object got its value, in milliseconds since the epoch, whole seconds:
 * the time that the API server notes with the fields of the client that owns it (Kubernetes,
 * "Server-Side Apply", managedFields). That client may have changed another field since, so the
 * annotation may be older than this, never newer. Undefined when the server notes nothing, as of an
 * object that was created without any field to note.
 */
export function annotatedAtMs(object: unknown, key: string): number | undefined {
  const { managedFields = [] } = Managed.safeParse(object).data?.metadata ?? {};
  const times = managedFields.flatMap(({ time, fieldsV1 }) => {
    const owned = fieldsV1?.["f:metadata"]?.["f:annotations"]?.[`f:${key}`] !== undefined;
    const atMs = Date.parse(time ?? "");
    return owned && !Number.isNaN(atMs) ? [atMs] : [];
  });
  // Several clients may own one value; the first of them set it.
  return times.length === 0 ? undefined : Math.min(...times);
}
