import { z } from "zod";
import { KubeObject } from "./kube-object.ts";

/** A Lease as the API server keeps it (`coordination.k8s.io/v1`); other fields pass through. */
export const LeaseObject = KubeObject.extend({
  spec: z
    .looseObject({
      /** Absent or empty when nobody holds it. */
      holderIdentity: z.string().nullish(),
      leaseDurationSeconds: z.number().int().positive().nullish(),
      acquireTime: z.string().nullish(),
      renewTime: z.string().nullish(),
      leaseTransitions: z.number().int().nonnegative().nullish(),
    })
    .nullish(),
});

export type LeaseObject = z.infer<typeof LeaseObject>;

/** Who asks for a Lease, when, and for how long. */
export interface Claim {
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  readonly nowMs: number;
  readonly durationSeconds: number;
}

/** Who holds the Lease, as it says itself; undefined when nobody does. */
export function holderOf({ spec }: LeaseObject): string | undefined {
  return spec?.holderIdentity || undefined;
}

/**
 * What changes whenever the holder shows that it is alive. The resourceVersion does not belong to
 * it: somebody else's label on the object is no sign of life.
 */
export function signOfLife({ spec }: LeaseObject): string {
  const { holderIdentity, acquireTime, renewTime, leaseTransitions } = spec ?? {};
  return JSON.stringify([holderIdentity, acquireTime, renewTime, leaseTransitions]);
}

/** The Lease with us as its holder: taken when it was another's or new, renewed when it was ours. */
export function claimed(lease: LeaseObject | undefined, claim: Claim): object {
  const { namespace, name, identity, durationSeconds } = claim;
  const now = microTime(claim.nowMs);
  const isOurs = lease !== undefined && holderOf(lease) === identity;
  const transitions = lease?.spec?.leaseTransitions ?? 0;
  return {
    ...lease,
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: lease?.metadata ?? { namespace, name },
    spec: {
      ...lease?.spec,
      holderIdentity: identity,
      leaseDurationSeconds: durationSeconds,
      acquireTime: (isOurs ? lease.spec?.acquireTime : undefined) ?? now,
      renewTime: now,
      leaseTransitions: lease === undefined || isOurs ? transitions : transitions + 1,
    },
  };
}

/** The Lease without a holder, which the next who asks gets at once (client-go, ReleaseOnCancel). */
export function released(lease: LeaseObject, nowMs: number): object {
  const now = microTime(nowMs);
  const spec = { holderIdentity: "", leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
  return { ...lease, spec: { ...lease.spec, ...spec } };
}

// Kubernetes' MicroTime is read with exactly six digits.
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}
