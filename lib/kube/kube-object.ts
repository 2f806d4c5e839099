import { z } from "zod";

/**
 * What every object of the API server has, whatever its kind. Unknown fields pass through, since
 * Kubernetes adds some with every release. With metadata-only requests there is nothing else.
 */
export const KubeObject = z.looseObject({
  metadata: z.looseObject({
    name: z.string().min(1),
    /** Absent on objects of the cluster. */
    namespace: z.string().optional(),
    uid: z.string().optional(),
    resourceVersion: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    annotations: z.record(z.string(), z.string()).optional(),
  }),
});

export type KubeObject = z.infer<typeof KubeObject>;
