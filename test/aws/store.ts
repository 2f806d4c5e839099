import type { BucketPolicy } from "./policy/bucket-policy.ts";
import type { TrustPolicy } from "./policy/trust-policy.ts";
import { newAccessKey, newUniqueId } from "./unique-ids.ts";

/** A registered OpenID Connect provider. */
export interface Provider {
  readonly arn: string;
  /** As registered, without `https://`. */
  readonly url: string;
  readonly clientIds: readonly string[];
  readonly thumbprints: readonly string[];
  readonly tags: Tags;
  readonly createdAtMs: number;
}

export type Tags = ReadonlyMap<string, string>;

export interface Role {
  readonly arn: string;
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly trustPolicy: TrustPolicy;
  readonly description: string | undefined;
  readonly maxSessionSeconds: number;
  readonly permissionsBoundary: string | undefined;
  readonly tags: Tags;
  readonly createdAtMs: number;
  /** Inline policy documents by name. */
  readonly inlinePolicies: ReadonlyMap<string, string>;
  /** ARNs of attached managed policies, in the order of their attachment. */
  readonly attachedPolicies: readonly string[];
}

/** Who a signed call is made by. */
export interface Principal {
  /**
   * An administrator may do everything in the account, a session nothing but ask who it is and assume
   * the roles that trust it.
   */
  readonly kind: "administrator" | "session";
  readonly accountId: string;
  readonly arn: string;
  readonly userId: string;
}

export interface Credential {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only temporary credentials have these two. */
  readonly sessionToken: string | undefined;
  readonly expiresAtMs: number | undefined;
  readonly principal: Principal;
  readonly session: Session | undefined;
}

/** What a session was narrowed to or marked with; remembered, but no permission is derived from it. */
export interface Session {
  readonly policy: string | undefined;
  readonly policyArns: readonly string[];
  readonly tags: Tags;
  readonly sourceIdentity: string | undefined;
}

export interface StoredObject {
  readonly body: Buffer;
  readonly etag: string;
  readonly modifiedAtMs: number;
  /** Headers to give back: content-type, cache-control, x-amz-meta-*. */
  readonly headers: ReadonlyMap<string, string>;
}

/** The settings of a bucket that stand over its policy; absent when they were deleted. */
export interface PublicAccessBlock {
  readonly BlockPublicAcls: boolean;
  readonly IgnorePublicAcls: boolean;
  readonly BlockPublicPolicy: boolean;
  readonly RestrictPublicBuckets: boolean;
}

export interface Bucket {
  readonly name: string;
  readonly accountId: string;
  readonly region: string;
  readonly createdAtMs: number;
  readonly policy: BucketPolicy | undefined;
  readonly publicAccessBlock: PublicAccessBlock | undefined;
  readonly objects: Map<string, StoredObject>;
}

export interface Account {
  readonly id: string;
  readonly partition: string;
  /** By URL without scheme. */
  readonly providers: Map<string, Provider>;
  /** By name in lower case: role names are unique without regard to case. */
  readonly roles: Map<string, Role>;
  /** Documents of customer managed policies by ARN. */
  readonly policies: Map<string, string>;
}

/** All that the stand-in remembers; it ends with the process. */
export interface Store {
  readonly accounts: ReadonlyMap<string, Account>;
  /** By access key id. */
  readonly credentials: Map<string, Credential>;
  /** By name: one namespace for all accounts. */
  readonly buckets: Map<string, Bucket>;
}

/** The access key of an account's administrator. */
export interface AdministratorKey {
  readonly accountId: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** Makes a store with these accounts, each with an administrator who has a long-lived access key. */
export function createStore(
  accountIds: readonly string[],
  partition: string,
): { readonly store: Store; readonly administrators: readonly AdministratorKey[] } {
  const accounts = new Map<string, Account>();
  const credentials = new Map<string, Credential>();
  const administrators = accountIds.map((accountId) => {
    accounts.set(accountId, {
      id: accountId,
      partition,
      providers: new Map(),
      roles: new Map(),
      policies: new Map(),
    });
    const key = newAccessKey("AKIA");
    credentials.set(key.accessKeyId, {
      ...key,
      sessionToken: undefined,
      expiresAtMs: undefined,
      session: undefined,
      principal: {
        kind: "administrator",
        accountId,
        arn: `arn:${partition}:iam::${accountId}:user/administrator`,
        userId: newUniqueId("AIDA"),
      },
    });
    return { accountId, ...key };
  });
  return { store: { accounts, credentials, buckets: new Map() }, administrators };
}
