import { z } from "zod";
import { partitionOfRegion } from "../lib/arn.ts";
import { parseGoDurationMs, parseGoInteger } from "../lib/go-values.ts";
import { defineConfig, ignored, integer, toggle, value, type ConfigOf } from "../lib/config.ts";
import { LOG_LEVELS } from "../lib/log.ts";
import { CERTIFICATE_SETTINGS, checkCertificateConfig } from "./certificates/certificate-config.ts";
import { AUDIT_SETTINGS, checkAuditConfig } from "./audit/audit-config.ts";
import { droppedSuites, isSuite, suiteNamesOf } from "./tls/cipher-suites.ts";
import type { RoleAccount } from "./identity/compose-role-arn.ts";
import { MAX_TOKEN_EXPIRATION_SECONDS, MIN_TOKEN_EXPIRATION_SECONDS } from "./identity/identity.ts";
import type { MutationSettings } from "./mutation/mutation.ts";
import { VALIDATION_MODES } from "./validation/validation.ts";

const port = (fallback: number): z.ZodType<number> => integer({ min: 0, max: 65_535, fallback });
const optional = z.string().default("");

/** A bound of 30 s is the longest that Kubernetes lets a webhook take. */
const graceMs = z
  .string()
  .default("1s")
  .transform((text) => parseGoDurationMs(text) ?? -1)
  .refine((ms) => ms >= 0 && ms <= 30_000, { error: "expected a duration from 0s to 30s" });

const goInteger = z
  .string()
  .default("86400")
  .transform((text) => parseGoInteger(text) ?? Number.NaN)
  .refine((seconds) => seconds <= MAX_TOKEN_EXPIRATION_SECONDS, {
    error: `expected whole seconds, at most ${MAX_TOKEN_EXPIRATION_SECONDS}`,
  });

/** Go's default is 1.2, and nothing older is served whatever is asked for. */
const MIN_TLS_VERSIONS: Readonly<Record<string, "TLSv1.2" | "TLSv1.3">> = {
  "": "TLSv1.2",
  "1.0": "TLSv1.2",
  "1.1": "TLSv1.2",
  "1.2": "TLSv1.2",
  "1.3": "TLSv1.3",
  VersionTLS10: "TLSv1.2",
  VersionTLS11: "TLSv1.2",
  VersionTLS12: "TLSv1.2",
  VersionTLS13: "TLSv1.3",
};

/** What decides the mutation: the same for the webhook and for `irsa inject`. */
export const MUTATION_SETTINGS = {
  annotationPrefix: value(
    "annotation-prefix",
    z
      .string()
      .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "expected a DNS name such as eks.amazonaws.com")
      .default("eks.amazonaws.com"),
    "Domain of the annotations on ServiceAccounts and Pods",
  ),
  tokenAudience: value(
    "token-audience",
    z.string().min(1, "expected an audience").default("sts.amazonaws.com"),
    "Audience of the tokens where no annotation names one",
  ),
  tokenMountPath: value(
    "token-mount-path",
    z
      .string()
      .regex(/^\/[^:]+$/, "expected an absolute path without a colon")
      .default("/var/run/secrets/eks.amazonaws.com/serviceaccount"),
    "Where the token volume is mounted",
  ),
  tokenExpiration: value(
    "token-expiration",
    goInteger,
    "Life of the tokens in seconds, at least 600, where no annotation gives one",
  ),
  containerCredentialsAudience: value(
    "container-credentials-audience",
    z.string().min(1, "expected an audience").default("pods.eks.amazonaws.com"),
    "Audience of the tokens for container credentials",
  ),
  containerCredentialsMountPath: value(
    "container-credentials-token-mount-path",
    z
      .string()
      .regex(/^\/[^:]+$/, "expected an absolute path without a colon")
      .default("/var/run/secrets/pods.eks.amazonaws.com/serviceaccount"),
    "Where the token volume for container credentials is mounted",
  ),
  containerCredentialsVolumeName: value(
    "container-credentials-token-volume-name",
    z
      .string()
      .regex(/^(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, "expected a DNS label")
      .default("eks-pod-identity-token"),
    "Name of the token volume for container credentials",
  ),
  containerCredentialsFileName: value(
    "container-credentials-token-path",
    z
      .string()
      .refine((path) => path !== "" && !path.startsWith("/") && !path.split("/").includes(".."), {
        error: "expected a file name, or a relative path without ..",
      })
      .default("eks-pod-identity-token"),
    "File name of the token in the volume for container credentials",
  ),
  containerCredentialsFullUri: value(
    "container-credentials-full-uri",
    z.string().min(1, "expected a URL").default("http://169.254.170.23/v1/credentials"),
    "Where the agent on the node gives container credentials",
  ),
  region: value(
    "aws-default-region",
    optional,
    "Sets AWS_DEFAULT_REGION and AWS_REGION in the containers",
  ),
  regionalSts: toggle(
    "sts-regional-endpoint",
    false,
    "Whether SDKs call the STS of their region where no annotation says so",
  ),
  roleSessionName: toggle(
    "role-session-name",
    false,
    "Sets AWS_ROLE_SESSION_NAME to the name of the pod",
  ),
  disableEc2Metadata: toggle(
    "disable-ec2-metadata",
    false,
    "Sets AWS_EC2_METADATA_DISABLED, so that no SDK falls back to the node's role; always on in required namespaces",
  ),
  fipsEndpoints: toggle("use-fips-endpoint", false, "Sets AWS_USE_FIPS_ENDPOINT"),
  dualStackEndpoints: toggle("use-dualstack-endpoint", false, "Sets AWS_USE_DUALSTACK_ENDPOINT"),
  shimAnnotation: value(
    "metadata-shim-annotation",
    z
      .string()
      .regex(/^([\w.-]+\/)?[\w.-]*$/, "expected the key of an annotation")
      .default(""),
    "Annotation, such as iam.amazonaws.com/role, of pods that get a token for the metadata shim",
  ),
  composeRoleArn: toggle(
    "compose-role-arn",
    false,
    "Makes ARNs of role names in the account of this machine or of --account-id",
  ),
  accountId: value(
    "account-id",
    z
      .string()
      .regex(/^(\d{12})?$/, "expected 12 digits")
      .default(""),
    "Account for --compose-role-arn; without it the instance identity document names it",
  ),
  partition: value(
    "partition",
    z
      .string()
      .regex(/^(aws[a-z0-9-]*)?$/, "expected a partition such as aws-cn")
      .default(""),
    "Partition for --compose-role-arn; without it the region's",
  ),
} as const;

type MutationConfig = ConfigOf<typeof MUTATION_SETTINGS>;

/** Rules between the mutation settings, as sentences about those that are broken. */
export function checkMutationConfig(config: MutationConfig): readonly string[] {
  const { composeRoleArn, accountId, partition } = config;
  return [
    ...(accountId !== "" && !composeRoleArn ? ["--account-id needs --compose-role-arn"] : []),
    ...(partition !== "" && !composeRoleArn ? ["--partition needs --compose-role-arn"] : []),
  ];
}

/**
 * The account that `--account-id` names for bare role names; undefined when role names are not
 * composed, or when the account is to be asked for.
 */
export function givenRoleAccount(config: MutationConfig): RoleAccount | undefined {
  const { composeRoleArn, accountId, partition, region } = config;
  if (!composeRoleArn || accountId === "") return undefined;
  return { accountId, partition: partition === "" ? partitionOfRegion(region) : partition };
}

/** The settings of the pure core, from the config and the account of bare role names. */
export function mutationSettingsOf(
  config: MutationConfig,
  roleAccount: RoleAccount | undefined,
): MutationSettings {
  return {
    annotationPrefix: config.annotationPrefix,
    audience: config.tokenAudience,
    containerCredentialsAudience: config.containerCredentialsAudience,
    containerCredentials: {
      mountPath: config.containerCredentialsMountPath,
      volumeName: config.containerCredentialsVolumeName,
      fileName: config.containerCredentialsFileName,
      fullUri: config.containerCredentialsFullUri,
    },
    expirationSeconds: Math.max(config.tokenExpiration, MIN_TOKEN_EXPIRATION_SECONDS),
    regionalSts: config.regionalSts,
    region: config.region,
    roleAccount,
    tokenMountPath: config.tokenMountPath,
    roleSessionName: config.roleSessionName,
    disableEc2Metadata: config.disableEc2Metadata,
    fipsEndpoints: config.fipsEndpoints,
    dualStackEndpoints: config.dualStackEndpoints,
    shimAnnotation: config.shimAnnotation,
  };
}

/** Flags of Go's logging library, which AWS's webhook takes and manifests pass on. */
const KLOG_FLAGS = [
  "-v, --v <level>",
  "--vmodule <pattern>",
  "--logtostderr [value]",
  "--alsologtostderr [value]",
  "--alsologtostderrthreshold <level>",
  "--stderrthreshold <level>",
  "--legacy_stderr_threshold_behavior [value]",
  "--one_output [value]",
  "--log_dir <path>",
  "--log_file <path>",
  "--log_file_max_size <size>",
  "--log_backtrace_at <place>",
  "--add_dir_header [value]",
  "--skip_headers [value]",
  "--skip_log_headers [value]",
] as const;

/** Flags of AWS's webhook for what this one does in another way. */
const IDLE_FLAGS = ["--resync-period <duration>"] as const;
/** Where identities come from beside the annotations of ServiceAccounts. */
const ASSOCIATION_SETTINGS = {
  watchConfigMap: toggle(
    "watch-config-map",
    false,
    "Also takes roles from the ConfigMap pod-identity-webhook of --namespace",
  ),
  containerCredentialsFile: value(
    "watch-container-credentials-config",
    z
      .string()
      .regex(/^(\/.*)?$/, "expected an absolute path")
      .default(""),
    "JSON file of the ServiceAccounts that get container credentials; empty for none",
  ),
} as const;

const VALIDATION_SETTINGS = {
  validation: value(
    "validation",
    z.enum(VALIDATION_MODES).default("warn"),
    "What becomes of a mistake in a ServiceAccount or Namespace: warn, or deny what brings it in",
  ),
} as const;

const SERVER_SETTINGS = {
  ...VALIDATION_SETTINGS,
  host: value("host", optional, "Address to listen on; all interfaces when empty"),
  port: value("port", port(443), "Port of the webhook (HTTPS)"),
  metricsPort: value("metrics-port", port(9999), "Port of /metrics (plain HTTP)"),
  debugHandlers: toggle(
    "enable-debugging-handlers",
    false,
    "Shows what is known of ServiceAccounts and Namespaces, on 127.0.0.1 only",
  ),
  debugPort: value(
    "debug-port",
    port(9998),
    "Port of /debug/alpha/cache (plain HTTP) with --enable-debugging-handlers",
  ),
  kubeconfig: value(
    "kubeconfig",
    optional,
    "Kubeconfig file; without it and --kube-api the pod's own access",
  ),
  kubeApi: value("kube-api", optional, "URL of the API server"),
  tlsCert: value(
    "tls-cert",
    z.string().min(1, "expected a file").default("/etc/webhook/certs/tls.crt"),
    "Serving certificate with its chain (PEM file, reloaded when it changes)",
  ),
  tlsKey: value(
    "tls-key",
    z.string().min(1, "expected a file").default("/etc/webhook/certs/tls.key"),
    "Private key of the serving certificate (PEM file)",
  ),
  tlsMinVersion: value(
    "tls-min-version",
    z
      .string()
      .default("")
      .refine((version) => Object.hasOwn(MIN_TLS_VERSIONS, version), {
        error: "expected 1.2 or 1.3",
      }),
    "Lowest TLS version served: 1.2 or 1.3",
  ),
  tlsCipherSuites: value(
    "tls-cipher-suites",
    z
      .string()
      .default("")
      .refine((names) => suiteNamesOf(names).every(isSuite), {
        error: "expected Go's names of cipher suites, comma-separated",
      }),
    "Cipher suites up to TLS 1.2, by Go's names; Node's own when empty",
  ),
  namespace: value(
    "namespace",
    z.string().min(1, "expected a namespace").default("eks"),
    "Namespace of the webhook",
  ),
  serviceName: value(
    "service-name",
    z.string().min(1, "expected a name").default("pod-identity-webhook"),
    "Service of the webhook",
  ),
  ...CERTIFICATE_SETTINGS,
  lookupGraceMs: {
    ...value(
      "service-account-lookup-grace-period",
      graceMs,
      "Longest wait for a ServiceAccount that is not cached; 0s never reads one live",
    ),
    defaultText: "1s",
  },
  drainSeconds: value(
    "drain-seconds",
    integer({ min: 0, max: 3600, fallback: 10 }),
    "Longest wait for open requests on stop, in seconds",
  ),
  shutdownDelaySeconds: value(
    "shutdown-delay-seconds",
    integer({ min: 0, max: 3600, fallback: 0 }),
    "How long new connections are still accepted after the webhook has become unready on stop",
  ),
  ...AUDIT_SETTINGS,
  logLevel: value("log-level", z.enum(LOG_LEVELS).default("info"), LOG_LEVELS.join(", ")),
  klogFlags: ignored(KLOG_FLAGS),
  idleFlags: ignored(IDLE_FLAGS),
  ...ASSOCIATION_SETTINGS,
} as const;

/** Flags of the server alone, which do not matter to the mutation, as commander writes them. */
export const SERVER_FLAGS: readonly string[] = Object.values(SERVER_SETTINGS)
  .flatMap(({ flag, kind }) => (kind === "ignored" ? [] : [`--${flag} [value]`]))
  .concat(KLOG_FLAGS, IDLE_FLAGS);

/** Everything `irsa webhook` can be told; AWS's flags keep their names and defaults. */
export const webhookConfig = defineConfig(
  { ...SERVER_SETTINGS, ...MUTATION_SETTINGS },
  (config) => [
    ...checkCertificateConfig(config),
    ...checkAuditConfig(config),
    ...checkMutationConfig(config),
  ],
);
export type WebhookConfig = ConfigOf<typeof webhookConfig.settings>;

/** The TLS floor of the server. */
export function minTlsVersionOf({ tlsMinVersion }: WebhookConfig): "TLSv1.2" | "TLSv1.3" {
  return MIN_TLS_VERSIONS[tlsMinVersion] ?? "TLSv1.2";
}

/** A sentence for each setting that is accepted but not followed to the letter. */
export function configWarnings(config: WebhookConfig): readonly string[] {
  const { klogFlags, idleFlags, tokenExpiration, tlsMinVersion, tlsCipherSuites } = config;
  return [
    ...mutationConfigWarnings({ tokenExpiration }),
    ...(/1\.?[01]$/.test(tlsMinVersion)
      ? [`--tls-min-version ${tlsMinVersion} raised to 1.2: nothing older is served`]
      : []),
    ...droppedSuites(tlsCipherSuites).map((name) => `${name} is not served: no TLS library has it`),
    ...(klogFlags.length > 0
      ? [`${klogFlags.join(", ")} ignored: logs are JSON lines, see --log-level`]
      : []),
    ...(idleFlags.length > 0 ? [`${idleFlags.join(", ")} ignored: a watch is never resynced`] : []),
  ];
}

/** The same for the mutation settings alone. */
export function mutationConfigWarnings({
  tokenExpiration,
}: Pick<MutationConfig, "tokenExpiration">): readonly string[] {
  if (tokenExpiration >= MIN_TOKEN_EXPIRATION_SECONDS) return [];
  return [`--token-expiration ${tokenExpiration} raised to ${MIN_TOKEN_EXPIRATION_SECONDS}`];
}
