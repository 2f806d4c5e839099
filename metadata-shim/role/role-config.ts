import { z } from "zod";
import { toggle, value, whichGiven, type ConfigOf } from "../../lib/config.ts";
import { PROFILES, type Profile } from "./profile.ts";
import type { RoleSettings } from "./role-settings.ts";

const optional = z.string().default("");
const annotationKey = (fallback: string): z.ZodType<string> =>
  z
    .string()
    .regex(/^(?=.{1,317}$)([a-z0-9.-]+\/)?[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?$/, {
      error: "expected the key of an annotation",
    })
    .default(fallback);

// kube2iam's own check, with an account that IAM takes.
const BASE_ROLE_ARN = /^arn:[\w-]+:iam::\d{12}:role\/?[\w+=,.@/-]*$/;
const baseRoleArn = z
  .string()
  .refine((text) => text === "" || BASE_ROLE_ARN.test(text), {
    error: "expected the start of a role ARN, such as arn:aws:iam::111122223333:role/",
  })
  .default("");

const DECIDING = {
  profile: value(
    "profile",
    z.enum(PROFILES, { error: "expected strict, kube2iam or kiam" }).default("strict"),
    "Whose behaviour pods meet: strict, kube2iam or kiam",
  ),
  annotationPrefix: value(
    "annotation-prefix",
    z
      .string()
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "expected a DNS name such as eks.amazonaws.com")
      .default("eks.amazonaws.com"),
    "Domain of the annotations on ServiceAccounts",
  ),
  tokenAudience: value(
    "token-audience",
    z.string().min(1, "expected an audience").default("sts.amazonaws.com"),
    "Audience of the tokens where no annotation names one",
  ),
  defaultRole: value("default-role", optional, "Role of pods that no annotation gives one"),
  baseRoleArn: value("base-role-arn", baseRoleArn, "What comes before the names of roles"),
  roleBaseArn: value("role-base-arn", baseRoleArn, "The same by kiam's name, put before as it is"),
  autoDiscoverBaseArn: toggle(
    "auto-discover-base-arn",
    false,
    "Takes what comes before the names of roles from the role of this EC2 instance",
  ),
  autoDiscoverDefaultRole: toggle(
    "auto-discover-default-role",
    false,
    "Takes the role of this EC2 instance for the default role, and its account for names",
  ),
  roleBaseArnAutodetect: toggle(
    "role-base-arn-autodetect",
    false,
    "The same as --auto-discover-base-arn, by kiam's name",
    { negatable: true },
  ),
  iamRoleKey: value(
    "iam-role-key",
    annotationKey("iam.amazonaws.com/role"),
    "Annotation of pods that names their role, in the profiles kube2iam and kiam",
  ),
  iamExternalId: value(
    "iam-external-id",
    annotationKey("iam.amazonaws.com/external-id"),
    "Annotation of pods with an external id",
  ),
  namespaceRestrictions: toggle(
    "namespace-restrictions",
    false,
    "Lets namespaces have the roles of their annotation only, in the profile kube2iam",
  ),
  namespaceRestrictionFormat: value(
    "namespace-restriction-format",
    z
      .string()
      .default("glob")
      .transform((text) => (text.toLowerCase() === "regexp" ? "regexp" : "glob")),
    "Whether that annotation has globs or regular expressions: glob or regexp",
  ),
  namespaceKey: value(
    "namespace-key",
    annotationKey("iam.amazonaws.com/allowed-roles"),
    "That annotation",
  ),
  insecureUnanchoredNamespaceRegexp: toggle(
    "insecure-unanchored-namespace-regexp",
    false,
    "Lets its regular expressions match any part of an ARN, as kube2iam does",
  ),
  disableStrictNamespaceRegexp: toggle(
    "disable-strict-namespace-regexp",
    false,
    "Lets iam.amazonaws.com/permitted match any part of an ARN, in the profile kiam",
    { negatable: true },
  ),
  sessionNameFormat: value(
    "session-name-format",
    z.enum(["pod", "kube2iam", "kiam"], { error: "expected pod, kube2iam or kiam" }).default("pod"),
    "How sessions are named: pod, kube2iam or kiam",
  ),
  session: value(
    "session",
    z.string().default("kiam"),
    "What follows kiam- in names of sessions, with --session-name-format=kiam",
  ),
} as const;

/** The profiles that follow them, of settings that not all follow. */
const FOLLOWED_BY: readonly (readonly [keyof typeof DECIDING, readonly Profile[]])[] = [
  ["iamRoleKey", ["kube2iam", "kiam"]],
  ["iamExternalId", ["kube2iam", "kiam"]],
  ["namespaceRestrictions", ["kube2iam"]],
  ["namespaceRestrictionFormat", ["kube2iam"]],
  ["namespaceKey", ["kube2iam"]],
  ["insecureUnanchoredNamespaceRegexp", ["kube2iam"]],
  ["disableStrictNamespaceRegexp", ["kiam"]],
];

/** Of these, what says nothing without `--namespace-restrictions`. */
const OF_RESTRICTIONS = [
  "namespaceRestrictionFormat",
  "namespaceKey",
  "insecureUnanchoredNamespaceRegexp",
] as const;

/** What decides which role a pod gets. Those of kube2iam and kiam have their names and defaults. */
export const ROLE_SETTINGS = {
  ...DECIDING,
  given: whichGiven([...FOLLOWED_BY.map(([key]) => DECIDING[key].flag), DECIDING.session.flag]),
} as const;

export type RoleConfig = ConfigOf<typeof ROLE_SETTINGS>;

/** The key is kiam's, which has no flag for it. */
const SESSION_NAME_KEY = "iam.amazonaws.com/session-name";

/** What the role of this EC2 instance tells, where it was asked for. */
export interface DiscoveredRole {
  readonly baseRoleArn: string;
  readonly roleName: string;
}

/** Rules between these settings, as sentences about those that are broken. */
export function checkRoleConfig(config: RoleConfig): readonly string[] {
  const { baseRoleArn: base, defaultRole } = config;
  return [
    ...(base !== "" && config.roleBaseArn !== ""
      ? ["--base-role-arn and --role-base-arn are the same: give one"]
      : []),
    ...(base !== "" && config.autoDiscoverBaseArn
      ? ["--auto-discover-base-arn cannot be used with --base-role-arn"]
      : []),
    ...(defaultRole !== "" && config.autoDiscoverDefaultRole
      ? ["--auto-discover-default-role cannot be used with --default-role"]
      : []),
    // In the profile kiam its own rule holds always, and denies what no annotation allows.
    ...(config.namespaceRestrictions && config.profile === "strict"
      ? [
          "--namespace-restrictions is not followed in the profile strict: give --profile kube2iam, or restrict namespaces by irsa-anywhere.io/allowed-roles without it",
        ]
      : []),
  ];
}

/** Whether the role of this EC2 instance is to be asked for. */
export function wantsDiscovery(config: RoleConfig): boolean {
  const { autoDiscoverBaseArn, autoDiscoverDefaultRole, roleBaseArnAutodetect } = config;
  const isNamed = config.baseRoleArn !== "" || config.roleBaseArn !== "";
  return autoDiscoverDefaultRole || ((autoDiscoverBaseArn || roleBaseArnAutodetect) && !isNamed);
}

/** A sentence for each setting that opens what is closed by default, or is not followed. */
export function roleConfigWarnings(config: RoleConfig): readonly string[] {
  const { profile, namespaceRestrictions } = config;
  const isKube2iam = profile === "kube2iam";
  return [
    ...(isKube2iam && namespaceRestrictions && config.insecureUnanchoredNamespaceRegexp
      ? [
          "--insecure-unanchored-namespace-regexp: a namespace gets every role that contains what it names",
        ]
      : []),
    ...(profile === "kiam" && config.disableStrictNamespaceRegexp
      ? [
          "--disable-strict-namespace-regexp: a namespace gets every role that contains what it names",
        ]
      : []),
    ...FOLLOWED_BY.filter(
      ([key, profiles]) => !profiles.includes(profile) && wasGiven(config, key),
    ).map(([key, profiles]) => notFollowed(DECIDING[key].flag, profile, profiles)),
    ...OF_RESTRICTIONS.filter(
      (key) => isKube2iam && !namespaceRestrictions && wasGiven(config, key),
    ).map((key) => `--${DECIDING[key].flag} has no effect without --namespace-restrictions`),
    ...(wasGiven(config, "session") && config.sessionNameFormat !== "kiam"
      ? ["--session has no effect without --session-name-format=kiam"]
      : []),
  ];
}

/** A switch that is off asks for what is so without it. */
function wasGiven(config: RoleConfig, key: keyof typeof DECIDING): boolean {
  return config.given.includes(DECIDING[key].flag) && config[key] !== false;
}

function notFollowed(flag: string, profile: Profile, others: readonly Profile[]): string {
  const isReplaced = profile === "kiam" && flag === DECIDING.namespaceRestrictions.flag;
  const instead = isReplaced
    ? "; kiam always lets namespaces have the roles of their iam.amazonaws.com/permitted only"
    : "";
  return `--${flag} not followed in the profile ${profile}: --profile ${others.join(" or ")} follows it${instead}`;
}

/** The settings of the pure core. */
export function roleSettingsOf(
  config: RoleConfig,
  discovered: DiscoveredRole | undefined,
): RoleSettings {
  const { profile, namespaceRestrictions, namespaceRestrictionFormat: format } = config;
  return {
    profile,
    annotationPrefix: config.annotationPrefix,
    audience: config.tokenAudience,
    podKeys: {
      role: config.iamRoleKey,
      externalId: config.iamExternalId,
      sessionName: SESSION_NAME_KEY,
    },
    baseRoleArn: baseOf(config) || (discovered?.baseRoleArn ?? ""),
    defaultRole: config.autoDiscoverDefaultRole ? (discovered?.roleName ?? "") : config.defaultRole,
    allowedRoles: namespaceRestrictions
      ? {
          key: config.namespaceKey,
          format,
          isUnanchored: config.insecureUnanchoredNamespaceRegexp,
        }
      : undefined,
    isPermittedUnanchored: config.disableStrictNamespaceRegexp,
    sessionName: { format: config.sessionNameFormat, kiamDefault: config.session },
  };
}

/** The annotations of pods that are read, to be kept of each pod. */
export function podKeysOf(settings: RoleSettings): readonly string[] {
  const { role, externalId, sessionName } = settings.podKeys;
  return settings.profile === "strict" ? [] : [role, externalId, sessionName];
}

/** kube2iam completes its base with a slash, kiam takes its own as it is. */
function baseOf({ baseRoleArn: base, roleBaseArn }: RoleConfig): string {
  if (base === "") return roleBaseArn;
  return base.endsWith("/") ? base : `${base}/`;
}
