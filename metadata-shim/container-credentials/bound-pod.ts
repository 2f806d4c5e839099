import { z } from "zod";

/** The pod that a ServiceAccount token was made for. */
export interface BoundPod {
  readonly namespace: string;
  readonly podName: string;
  readonly podUid: string;
  readonly serviceAccount: string;
  readonly serviceAccountUid: string;
}

const Named = z.looseObject({ name: z.string().min(1), uid: z.string().min(1) });
const Claims = z.looseObject({
  sub: z.string(),
  "kubernetes.io": z.looseObject({
    namespace: z.string().min(1),
    serviceaccount: Named,
    pod: Named.optional(),
  }),
});

/**
 * Reads from the verified claims of a ServiceAccount token (KEP-1205) which pod it is bound to.
 *
 * @returns a sentence when it is bound to none, or is no token of a ServiceAccount.
 */
export function boundPodOf(claims: unknown): BoundPod | string {
  const parsed = Claims.safeParse(claims);
  if (!parsed.success) return "it is not a token of a ServiceAccount";
  const { namespace, serviceaccount, pod } = parsed.data["kubernetes.io"];
  if (parsed.data.sub !== `system:serviceaccount:${namespace}:${serviceaccount.name}`) {
    return "its subject is not its ServiceAccount";
  }
  if (pod === undefined) return "it is not bound to a pod";
  return {
    namespace,
    podName: pod.name,
    podUid: pod.uid,
    serviceAccount: serviceaccount.name,
    serviceAccountUid: serviceaccount.uid,
  };
}
