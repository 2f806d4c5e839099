import type { Soon } from "../../lib/soon.ts";
import type { Caller } from "../caller/caller.ts";

/** A role that a pod may have. */
export interface AllowedRole {
  readonly status: "allowed";
  readonly roleArn: string;
  /** The last path element, or as the profile shows it. */
  readonly shownName: string;
  /** Names by which it is answered too, beside its whole ARN. */
  readonly otherNames?: readonly string[] | undefined;
  readonly audience: string;
  /** Undefined where ServiceAccounts may not be read: only the pod's own annotation names a role then. */
  readonly serviceAccountUid: string | undefined;
  readonly externalId?: string | undefined;
  readonly sessionName?: string | undefined;
  /** Whether kube2iam or kiam would have given it: by the pod's annotation, or the default role. */
  readonly legacy: boolean;
}

export type RoleDecision =
  | AllowedRole
  /** The pod has no role. */
  | { readonly status: "none" }
  /** A policy says no. */
  | { readonly status: "forbidden"; readonly reason: string }
  /** The ServiceAccount or the Namespace cannot be read. */
  | { readonly status: "unavailable"; readonly reason: string };

export type DecideRole = (caller: Caller) => Soon<RoleDecision>;
