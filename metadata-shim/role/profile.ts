import type { HttpTokens } from "../caller/caller.ts";

/**
 * Whose behaviour pods meet.
 *
 * - `strict`: ours. The role comes from the ServiceAccount, and pods need session tokens.
 * - `kube2iam`, `kiam`: what these programs do, without their holes: pod annotations are read too.
 */
export const PROFILES = ["strict", "kube2iam", "kiam"] as const;
export type Profile = (typeof PROFILES)[number];

/** Where profiles differ beyond the role and the texts. */
export interface ProfileTraits {
  /** Where pods are served unless something else is said: the program's own default. */
  readonly port: number;
  /** Longest wait for a pod that is about to appear; SDKs want an answer within 500 ms. */
  readonly waitMs: number;
  /** Whether reads need a session token where no annotation says so. */
  readonly httpTokens: HttpTokens;
  /** Whether a role may come from an annotation of the pod. */
  readonly readsPodAnnotations: boolean;
}

export const PROFILE_TRAITS: Readonly<Record<Profile, ProfileTraits>> = {
  strict: { port: 8181, waitMs: 400, httpTokens: "required", readsPodAnnotations: false },
  kube2iam: { port: 8181, waitMs: 2000, httpTokens: "optional", readsPodAnnotations: true },
  kiam: { port: 3100, waitMs: 2000, httpTokens: "optional", readsPodAnnotations: true },
};
