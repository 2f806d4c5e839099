import { z } from "zod";
import { parseGoDurationMs } from "../lib/go-values.ts";
import { defineConfig, ignored, integer, toggle, value, type ConfigOf } from "../lib/config.ts";
import { LOG_LEVELS } from "../lib/log.ts";
import { AUDIT_SETTINGS, checkAuditConfig } from "./audit/audit-config.ts";
import { CERTIFICATE_SETTINGS, checkCertificateConfig } from "./certificates/certificate-config.ts";
import {
  checkMutationConfig,
  MUTATION_SETTINGS,
  mutationConfigWarnings,
} from "./mutation/mutation-config.ts";
import { TLS_SETTINGS, tlsConfigWarnings } from "./tls/tls-config.ts";
import { VALIDATION_MODES } from "./validation/validation.ts";

const port = (fallback: number): z.ZodType<number> => integer({ min: 0, max: 65_535, fallback });
const optional = z.string().default("");

/** A bound of 30 s is the longest that Kubernetes lets a webhook take. */
const graceMs = z
  .string()
  .default("1s")
  .transform((text) => parseGoDurationMs(text) ?? -1)
  .refine((ms) => ms >= 0 && ms <= 30_000, { error: "expected a duration from 0s to 30s" });

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
  ...TLS_SETTINGS,
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

/** A sentence for each setting that is accepted but not followed to the letter. */
export function configWarnings(config: WebhookConfig): readonly string[] {
  const { klogFlags, idleFlags, tokenExpiration } = config;
  return [
    ...mutationConfigWarnings({ tokenExpiration }),
    ...tlsConfigWarnings(config),
    ...(klogFlags.length > 0
      ? [`${klogFlags.join(", ")} ignored: logs are JSON lines, see --log-level`]
      : []),
    ...(idleFlags.length > 0 ? [`${idleFlags.join(", ")} ignored: a watch is never resynced`] : []),
  ];
}
