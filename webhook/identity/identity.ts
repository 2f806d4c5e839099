import { parseRoleArn } from "../../lib/arn.ts";
import { parseGoBoolean, parseGoInteger } from "../../lib/go-values.ts";
import { composeRoleArn, type RoleAccount } from "./compose-role-arn.ts";
import {
  identitySourceOf,
  type Association,
  type ConfigMapEntry,
  type IdentitySource,
} from "./identity-source.ts";
import { POLICY_KEYS } from "../../lib/namespace-policy.ts";
import type { Annotations } from "../pod/pod.ts";
import { quoted, shownRole } from "../../lib/quoted.ts";
import { ROLE_ARN_SHAPE, roleArnProblem } from "./role-arn-problem.ts";

interface TokenClaims {
  readonly source: IdentitySource;
  /** `aud` of the projected token. */
  readonly audience: string;
  readonly expirationSeconds: number;
  /** Whether the SDK is to call the STS of its region instead of the global one. */
  readonly regionalSts: boolean;
}

/** The SDK exchanges the token at STS for a role that the pod names. */
export interface WebIdentity extends TokenClaims {
  readonly method: "web-identity";
  readonly roleArn: string;
}

/** The SDK shows the token to an agent on the node, which knows the role (EKS Pod Identity). */
export interface ContainerCredentials extends TokenClaims {
  readonly method: "container-credentials";
}

/** What a pod is to be given; see {@link identityOf}. */
export type Identity = WebIdentity | ContainerCredentials;

/** What holds where no annotation says otherwise. */
export interface IdentityDefaults {
  /** Domain of all annotations, without the slash. */
  readonly annotationPrefix: string;
  readonly audience: string;
  readonly containerCredentialsAudience: string;
  readonly expirationSeconds: number;
  readonly regionalSts: boolean;
  /** Account of role names that are no ARN; undefined when only ARNs are expected. */
  readonly roleAccount: RoleAccount | undefined;
  /** Role where nothing else gives one, as the namespace's annotation says it. */
  readonly defaultRole?: string | undefined;
}

export interface IdentityDecision {
  /** Undefined when nobody asks for one. */
  readonly identity: Identity | undefined;
  /** What to do about a role that is no ARN, also when it is used as it is; undefined otherwise. */
  readonly roleProblem: string | undefined;
  /** A sentence for each value that is not used as it was written. */
  readonly warnings: readonly string[];
}

/** Bounds of `expirationSeconds` in Kubernetes' validation of a projected token, in seconds. */
export const MIN_TOKEN_EXPIRATION_SECONDS = 600;
export const MAX_TOKEN_EXPIRATION_SECONDS = 2 ** 32;

/** Of container credentials that nobody gave another life: AWS's webhook spreads them over 2 hours. */
const JITTERED_SECONDS = 86_400;
const JITTER_SECONDS = 7200;

/**
 * Decides which identity a pod gets. Its source is {@link identitySourceOf}'s; then
 *
 * - role: verbatim; a bare role name is composed when an account is known
 * - audience: that of the same source > default; an empty one is as good as none
 * - expiration: pod `token-expiration` > that of the source > default; at least 600 s
 * - regional STS: that of the source, both ways > default
 *
 * Container credentials take the last two from the ServiceAccount, else from the ConfigMap. A value
 * that cannot be used falls to the next level, as in AWS's webhook, but is told. A role that is no
 * ARN is still passed on: the SDK's error then names it, where silence would leave the pod with the
 * node's role.
 *
 * @param inputs.random In [0, 1): the place of a token's life in the jitter.
 */
export function identityOf({
  serviceAccount,
  pod,
  association,
  defaults,
  random,
}: {
  readonly serviceAccount: Annotations;
  readonly pod: Annotations;
  readonly association: Association;
  readonly defaults: IdentityDefaults;
  readonly random: number;
}): IdentityDecision {
  const keys = keysOf(defaults.annotationPrefix);
  const { defaultRole } = defaults;
  const sources = { serviceAccount, association, defaultRole };
  const source = identitySourceOf(sources, defaults.annotationPrefix);
  const warnings: string[] = [];
  let emptyRole: string | undefined;
  if (serviceAccount[keys.roleArn] === "") {
    const subject = subjectOf(keys.roleArn);
    warnings.push(`${subject} is empty: expected ${ROLE_ARN_SHAPE}`);
    emptyRole = `${subject} is empty: write ${ROLE_ARN_SHAPE}`;
  }
  if (source === undefined) return { identity: undefined, roleProblem: emptyRole, warnings };

  const entry =
    source === "service-account" || source === "namespace" ? undefined : association.configMap;
  const annotations = source === "config-map" ? {} : serviceAccount;
  const { role, roleProblem } =
    source === "container-credentials"
      ? { role: undefined, roleProblem: undefined }
      : roleArnOf(writtenRole(source, { annotations, entry, keys, defaults }), defaults, warnings);
  const audience =
    role === undefined
      ? defaults.containerCredentialsAudience
      : (entry?.audience ?? audienceOf(annotations[keys.audience], keys, defaults, warnings));
  const key = keys.tokenExpiration;
  const expirationSeconds =
    expirationOf(pod[key], `Pod annotation ${key}`, warnings) ??
    expirationOf(annotations[key], subjectOf(key), warnings) ??
    entry?.expirationSeconds ??
    (role === undefined
      ? jittered(defaults.expirationSeconds, random)
      : defaults.expirationSeconds);
  const regionalSts =
    regionalStsOf(annotations[keys.regionalSts], keys.regionalSts, warnings) ??
    entry?.regionalSts ??
    defaults.regionalSts;
  const claims = { source, audience, expirationSeconds, regionalSts };
  const identity: Identity =
    role === undefined
      ? { ...claims, method: "container-credentials" }
      : { ...claims, method: "web-identity", roleArn: role };
  return { identity, roleProblem, warnings };
}

/**
 * Decides of a token that is nobody's identity: its audience by the ServiceAccount, its life by the
 * pod, then the ServiceAccount; else the defaults.
 */
export function plainTokenOf({
  serviceAccount,
  pod,
  defaults,
}: {
  readonly serviceAccount: Annotations;
  readonly pod: Annotations;
  readonly defaults: IdentityDefaults;
}): {
  readonly audience: string;
  readonly expirationSeconds: number;
  readonly warnings: readonly string[];
} {
  const keys = keysOf(defaults.annotationPrefix);
  const warnings: string[] = [];
  const key = keys.tokenExpiration;
  const audience = audienceOf(serviceAccount[keys.audience], keys, defaults, warnings);
  const expirationSeconds =
    expirationOf(pod[key], `Pod annotation ${key}`, warnings) ??
    expirationOf(serviceAccount[key], subjectOf(key), warnings) ??
    defaults.expirationSeconds;
  return { audience, expirationSeconds, warnings };
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

function subjectOf(key: string): string {
  return `ServiceAccount annotation ${key}`;
}

interface WrittenRole {
  readonly written: string;
  /** Where it is written. */
  readonly subject: string;
}

function writtenRole(
  source: Exclude<IdentitySource, "container-credentials">,
  {
    annotations,
    entry,
    keys,
    defaults,
  }: {
    readonly annotations: Annotations;
    readonly entry: ConfigMapEntry | undefined;
    readonly keys: AnnotationKeys;
    readonly defaults: IdentityDefaults;
  },
): WrittenRole {
  if (source === "service-account") {
    return { written: annotations[keys.roleArn] ?? "", subject: subjectOf(keys.roleArn) };
  }
  if (source === "config-map") {
    const subject = `RoleARN of ConfigMap entry ${quoted(entry?.key)}`;
    return { written: entry?.roleArn ?? "", subject };
  }
  const subject = `Namespace annotation ${POLICY_KEYS.defaultRole}`;
  return { written: defaults.defaultRole ?? "", subject };
}

function roleArnOf(
  { written, subject }: WrittenRole,
  { roleAccount }: IdentityDefaults,
  warnings: string[],
): { readonly role: string; readonly roleProblem: string | undefined } {
  let role = written;
  if (roleAccount !== undefined && !written.includes("arn:")) {
    const composed = composeRoleArn(written, roleAccount);
    role = composed.roleArn;
    if (composed.corrected)
      warnings.push(`${subject} ${quoted(written)} read as ${shownRole(role)}`);
  }
  if (parseRoleArn(role) !== undefined) return { role, roleProblem: undefined };
  warnings.push(`${subject} ${quoted(written)} used as is: expected ${ROLE_ARN_SHAPE}`);
  const { problem, wanted } = roleArnProblem(written) ?? {
    problem: "is no role ARN",
    wanted: ROLE_ARN_SHAPE,
  };
  return { role, roleProblem: `${subject} ${quoted(written)} ${problem}: write ${wanted}` };
}

function audienceOf(
  written: string | null | undefined,
  keys: AnnotationKeys,
  defaults: IdentityDefaults,
  warnings: string[],
): string {
  if (written === "") {
    warnings.push(`${subjectOf(keys.audience)} is empty: ${defaults.audience} used`);
  }
  return written || defaults.audience;
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

/** A life that somebody chose is kept as it is; only AWS's own default is spread. */
function jittered(seconds: number, random: number): number {
  if (seconds !== JITTERED_SECONDS) return seconds;
  return seconds - JITTER_SECONDS + Math.floor(random * (JITTER_SECONDS + 1));
}

function regionalStsOf(
  written: string | null | undefined,
  key: string,
  warnings: string[],
): boolean | undefined {
  if (written === undefined || written === null) return undefined;
  const value = parseGoBoolean(written);
  if (value === undefined) {
    warnings.push(`${subjectOf(key)} ${quoted(written)} ignored: expected true or false`);
  }
  return value;
}
