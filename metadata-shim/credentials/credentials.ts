import type { Soon } from "../../lib/soon.ts";

/** Temporary credentials of a role, as AWS issued them for one pod. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  /** By the clock of AWS, in milliseconds since the epoch. */
  readonly expiresAtMs: number;
  /** When they came, by the clock of this node, in milliseconds since the epoch. */
  readonly issuedAtMs: number;
  /** Whether the node's rights gave them, in place of the pod's token. */
  readonly isByNode?: boolean | undefined;
}

/** What has to be known of a pod to get its token. */
export interface CredentialCaller {
  readonly podUid: string;
  readonly podName: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The role that the pod may have. */
export interface CredentialRole {
  readonly roleArn: string;
  /** Of the token that is exchanged. */
  readonly audience: string;
  /** Undefined when nobody may read it: the token says it then. */
  readonly serviceAccountUid: string | undefined;
  /** From a legacy annotation; AssumeRole has it, AssumeRoleWithWebIdentity has not. */
  readonly externalId?: string | undefined;
  /** From a legacy annotation; `NAMESPACE.POD` without it. */
  readonly sessionName?: string | undefined;
  /** Whether kube2iam or kiam would have given it, so that the node may where that is allowed. */
  readonly legacy?: boolean | undefined;
}

/** For whom credentials are wanted, and which. */
export interface CredentialRequest {
  readonly caller: CredentialCaller;
  readonly role: CredentialRole;
}

/**
 * Why there are none:
 *
 * - `refused`: AWS says no, and will say so again until somebody changes something
 * - `throttled`: too many calls, by AWS's judgement or by the bound that this node keeps
 * - `unavailable`: AWS or the way to it is out of order, or has not answered yet
 * - `token-missing`: there is no token of this pod to exchange
 */
export interface CredentialFailure {
  readonly kind: "refused" | "throttled" | "unavailable" | "token-missing";
  /** AWS's own code where it gave one. */
  readonly code: string;
  /** One sentence without secrets. */
  readonly message: string;
  /** When it is worth asking again, in milliseconds from now. */
  readonly retryAfterMs?: number | undefined;
}

export type CredentialResult =
  | { readonly status: "good"; readonly credentials: Credentials }
  | ({ readonly status: "failed" } & CredentialFailure);

/** Never rejects. */
export type ObtainCredentials = (request: CredentialRequest) => Soon<CredentialResult>;

export function failed(
  failure: CredentialFailure,
): Extract<CredentialResult, { status: "failed" }> {
  return { status: "failed", ...failure };
}
