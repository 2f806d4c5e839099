import { parseRoleArn } from "../lib/arn.ts";
import { parseGoBoolean, parseGoInteger } from "../lib/go-values.ts";
import { composeRoleArn, type RoleAccount } from "./compose-role-arn.ts";
import type { Annotations } from "./pod.ts";
import { quoted } from "./quoted.ts";

/** What a pod is to be given; see {@link identityOf}. */
export interface Identity {
  readonly roleArn: string;
  /** `aud` of the projected token. */
  readonly audience: string;
  readonly expirationSeconds: number;
  /** Whether the SDK is to call the STS of its region instead of the global one. */
  readonly regionalSts: boolean;
}

/** What holds where no annotation says otherwise. */
export interface IdentityDefaults {
  /** Domain of all annotations, without the slash. */
  readonly annotationPrefix: string;
  readonly audience: string;
  readonly expirationSeconds: number;
  readonly regionalSts: boolean;
  /** Account of role names that are no ARN; undefined when only ARNs are expected. */
  readonly roleAccount: RoleAccount | undefined;
}

export interface IdentityDecision {
  /** Undefined when the ServiceAccount asks for none. */
  readonly identity: Identity | undefined;
  /** A sentence for each annotation that is not used as it was written. */
  readonly warnings: readonly string[];
}

/** Bounds of `expirationSeconds` in Kubernetes' validation of a projected token, in seconds. */
export const MIN_TOKEN_EXPIRATION_SECONDS = 600;
export const MAX_TOKEN_EXPIRATION_SECONDS = 2 ** 32;

const ROLE_ARN_SHAPE = "arn:aws:iam::ACCOUNT:role/NAME";

/**
 * Decides which identity a pod gets.
 *
 * - role: ServiceAccount `role-arn`, verbatim; a bare role name is composed when an account is known
 * - audience: ServiceAccount `audience` > default; an empty one is as good as none
 * - expiration: pod `token-expiration` > ServiceAccount `token-expiration` > default; at least 600 s
 * - regional STS: ServiceAccount `sts-regional-endpoints`, both ways > default
 *
 * A value that cannot be used falls to the next level, as in AWS's webhook, but is told. A role that
 * is no ARN is still passed on: the SDK's error then names it, where silence would leave the pod
 * with the node's role.
 */
export function identityOf({
  serviceAccount,
  pod,
  defaults,
}: {
  readonly serviceAccount: Annotations;
  readonly pod: Annotations;
  readonly defaults: IdentityDefaults;
}): IdentityDecision {
  const warnings: string[] = [];
  const keys = keysOf(defaults.annotationPrefix);
  const roleArn = roleArnOf(serviceAccount[keys.roleArn], keys.roleArn, defaults, warnings);
  if (roleArn === undefined) return { identity: undefined, warnings };

  const audience = serviceAccount[keys.audience];
  if (audience === "") {
    warnings.push(`ServiceAccount annotation ${keys.audience} is empty: ${defaults.audience} used`);
  }
  const key = keys.tokenExpiration;
  const expirationSeconds =
    expirationOf(pod[key], `Pod annotation ${key}`, warnings) ??
    expirationOf(serviceAccount[key], `ServiceAccount annotation ${key}`, warnings) ??
    defaults.expirationSeconds;
  const regionalSts =
    regionalStsOf(serviceAccount[keys.regionalSts], keys.regionalSts, warnings) ??
    defaults.regionalSts;
  const identity = {
    roleArn,
    audience: audience || defaults.audience,
    expirationSeconds,
    regionalSts,
  };
  return { identity, warnings };
}

interface AnnotationKeys {
  readonly roleArn: string;
  readonly audience: string;
  readonly tokenExpiration: string;
  readonly regionalSts: string;
}

function keysOf(prefix: string): AnnotationKeys {
  return {
    roleArn: `${prefix}/role-arn`,
    audience: `${prefix}/audience`,
    tokenExpiration: `${prefix}/token-expiration`,
    regionalSts: `${prefix}/sts-regional-endpoints`,
  };
}

function roleArnOf(
  written: string | null | undefined,
  key: string,
  { roleAccount }: IdentityDefaults,
  warnings: string[],
): string | undefined {
  if (written === undefined || written === null) return undefined;
  const subject = `ServiceAccount annotation ${key}`;
  if (written === "") {
    warnings.push(`${subject} is empty: expected ${ROLE_ARN_SHAPE}`);
    return undefined;
  }
  let roleArn = written;
  if (roleAccount !== undefined && !written.includes("arn:")) {
    const composed = composeRoleArn(written, roleAccount);
    roleArn = composed.roleArn;
    if (composed.corrected) warnings.push(`${subject} ${quoted(written)} read as ${roleArn}`);
  }
  if (parseRoleArn(roleArn) === undefined) {
    warnings.push(`${subject} ${quoted(written)} used as is: expected ${ROLE_ARN_SHAPE}`);
  }
  return roleArn;
}

function expirationOf(
  written: string | null | undefined,
  subject: string,
  warnings: string[],
): number | undefined {
  if (written === undefined || written === null) return undefined;
  const seconds = parseGoInteger(written);
  if (seconds === undefined || seconds > MAX_TOKEN_EXPIRATION_SECONDS) {
    warnings.push(`${subject} ${quoted(written)} ignored: expected seconds from 600 to 2^32`);
    return undefined;
  }
  if (seconds >= MIN_TOKEN_EXPIRATION_SECONDS) return seconds;
  warnings.push(`${subject} ${quoted(written)} raised to ${MIN_TOKEN_EXPIRATION_SECONDS} seconds`);
  return MIN_TOKEN_EXPIRATION_SECONDS;
}

function regionalStsOf(
  written: string | null | undefined,
  key: string,
  warnings: string[],
): boolean | undefined {
  if (written === undefined || written === null) return undefined;
  const value = parseGoBoolean(written);
  if (value === undefined) {
    const subject = `ServiceAccount annotation ${key}`;
    warnings.push(`${subject} ${quoted(written)} ignored: expected true or false`);
  }
  return value;
}
