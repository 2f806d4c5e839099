import { z } from "zod";
import { ignored, toggle, value, type ConfigOf } from "../../lib/config.ts";
import { parseGoDurationMs, parseGoInteger } from "../../lib/go-values.ts";
import type { LogLevel } from "../../lib/log.ts";
import { PROFILE_TRAITS, type Profile } from "../role/profile.ts";

/** Flags that say what is so anyway, or ask for what there is no more; and why they do nothing. */
const SUPERSEDED: readonly (readonly [why: string, flags: readonly string[]])[] = [
  ["a watch is never resynced", ["--cache-resync-period <duration>", "--sync <duration>"]],
  [
    "an address that two pods have is never given to one of them",
    ["--resolve-duplicate-cache-ips [boolean]"],
  ],
  ["a pod is waited for by its event", ["--backoff-max-interval <duration>"]],
  [
    "STS is asked seldom, and never twice at once for the same pod",
    [
      "--iam-role-error-ttl <duration>",
      "--fetchers <number>",
      "--prefetch-buffer-size <number>",
      "--session-refresh <duration>",
    ],
  ],
  ["STS is always that of the region", ["--use-regional-sts-endpoint [boolean]"]],
  ["the token of the pod is exchanged, and no role is assumed before", ["--assume-role-arn <arn>"]],
  ["logs are JSON lines", ["--log-format <format>", "--json-log [boolean]"]],
  ["there are no pages for debugging", ["--debug [boolean]", "--pprof-listen-addr <address>"]],
  [
    "nothing is passed on to the real metadata service",
    [
      "--metadata-addr <address>",
      "--allow-route-regexp <expression>",
      "--whitelist-route-regexp <expression>",
    ],
  ],
  ["who calls is told by the connection alone", ["--allow-ip-query [boolean]"]],
  [
    "rules stay when the shim ends; irsa shim rules remove takes them away",
    ["--iptables-remove [boolean]"],
  ],
  ["metrics are told when they are asked for", ["--prometheus-sync-interval <duration>"]],
  [
    "there is no server behind the agent",
    [
      "--bind <address>",
      "--cert <file>",
      "--key <file>",
      "--ca <file>",
      "--server-address <address>",
      "--server-address-refresh <duration>",
      "--gateway-timeout-creation <duration>",
      "--grpc-keepalive-time-duration <duration>",
      "--grpc-keepalive-timeout-duration <duration>",
      "--grpc-keepalive-permit-without-stream [boolean]",
      "--grpc-keepalive-time-ms <ms>",
      "--grpc-keepalive-timeout-ms <ms>",
      "--grpc-max-connection-idle-duration <duration>",
      "--grpc-max-connection-age-duration <duration>",
      "--grpc-max-connection-age-grace-duration <duration>",
      "--timeout <duration>",
    ],
  ],
];

const text = z.string().default("");

function optionalNumber(
  parse: (given: string) => number | undefined,
  { min, max, wanted }: { readonly min: number; readonly max: number; readonly wanted: string },
): z.ZodType<number | undefined> {
  return z
    .string()
    .optional()
    .transform((given) => (given === undefined ? undefined : (parse(given) ?? Number.NaN)))
    .refine((number) => number === undefined || (number >= min && number <= max), {
      error: `expected ${wanted}`,
    });
}

const port = optionalNumber(parseGoInteger, { min: 0, max: 65_535, wanted: "a port" });
const portOrNone = z.union(
  [
    z.literal("none"),
    optionalNumber(parseGoInteger, { min: 0, max: 65_535, wanted: "a port or none" }),
  ],
  "expected a port or none",
);
const duration = (wanted: string, min = -Infinity): z.ZodType<number | undefined> =>
  optionalNumber(parseGoDurationMs, { min, max: Infinity, wanted });

/** Levels of logrus, the logger of both programs, beside ours. */
const LEVELS: Readonly<Record<string, LogLevel>> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warn: "warn",
  warning: "warn",
  error: "error",
  fatal: "error",
  panic: "error",
};
const level = z
  .string()
  .optional()
  .refine((given) => given === undefined || Object.hasOwn(LEVELS, given.toLowerCase()), {
    error: "expected debug, info, warn or error",
  })
  .transform((given) => (given === undefined ? undefined : LEVELS[given.toLowerCase()]));

/** Flags of kube2iam and kiam that still mean something, for where and how the shim runs. */
export const LEGACY_SETTINGS = {
  appPort: value("app-port", port, "Port for pods (8181, in the profile kiam 3100)"),
  port: value("port", port, "The same by kiam's name"),
  metricsPort: value(
    "metrics-port",
    portOrNone,
    "Port of /metrics, 0 for any, or none; the port for pods in the profile kube2iam, else none",
  ),
  prometheusListenAddr: value(
    "prometheus-listen-addr",
    z
      .string()
      .refine((place) => place === "" || Number(/^.*:(\d{1,5})$/.exec(place)?.[1]) <= 65_535, {
        error: "expected an address with a port, such as 0.0.0.0:9620",
      })
      .default(""),
    "Address and port of /metrics, by kiam's name",
  ),
  node: value("node", text, "Name of this node; NODE_NAME or HOSTNAME of the environment without"),
  kubeconfig: value("kubeconfig", text, "Kubeconfig file; without it the pod's own access"),
  apiServer: value("api-server", text, "URL of the API server"),
  apiToken: value("api-token", text, "Bearer token for --api-server"),
  insecure: toggle("insecure", false, "Takes the certificate of --api-server unseen"),
  region: value(
    "region",
    text,
    "Region whose STS is asked; AWS_REGION or AWS_DEFAULT_REGION of the environment without",
  ),
  iptables: toggle("iptables", false, "Makes and keeps the rules that lead pods here", {
    negatable: true,
  }),
  hostIp: value("host-ip", text, "Address of this node that the rules lead to"),
  host: value("host", text, "The same by kiam's name; HOST_IP of the environment without"),
  hostInterface: value(
    "host-interface",
    text,
    "Interfaces that pods come in by, such as eni+,cali+,!eth0; any without it",
  ),
  iamRoleSessionTtl: value(
    "iam-role-session-ttl",
    duration("a duration such as 15m"),
    "Half of the life of credentials, by kube2iam's name",
  ),
  sessionDuration: value(
    "session-duration",
    duration("a duration of 15m or more", 900_000),
    "Life of credentials, up to 12h (1h)",
  ),
  backoffMaxElapsedTime: value(
    "backoff-max-elapsed-time",
    duration("a duration such as 2s"),
    "Longest wait for a pod that is not known yet, up to 10s",
  ),
  logLevel: value("log-level", level, "debug, info, warn or error (info)"),
  level: value("level", level, "The same by kiam's name"),
  verbose: toggle("verbose", false, "The same as --log-level=debug"),
  superseded: ignored(SUPERSEDED.flatMap(([, flags]) => flags)),
} as const;

export type LegacyConfig = ConfigOf<typeof LEGACY_SETTINGS>;

const DEFAULT_DURATION_SECONDS = 3600;
/** STS: longest `DurationSeconds` of `AssumeRoleWithWebIdentity`. */
const MAX_DURATION_SECONDS = 43_200;
/** SDKs have given up long before. */
const MAX_WAIT_MS = 10_000;

type Env = Readonly<Record<string, string | undefined>>;

/** Where metrics are told to the network: on the port for pods, or on one of their own; undefined for nowhere. */
export type MetricsPlace =
  | "app-port"
  | { readonly host: string | undefined; readonly port: number }
  | undefined;

/** What follows from these flags, whichever of the names was used. */
export interface LegacyPlace {
  readonly port: number;
  readonly metrics: MetricsPlace;
  readonly nodeName: string;
  readonly hostIp: string;
  readonly region: string;
  readonly logLevel: LogLevel;
  readonly waitMs: number;
  /** Life of credentials that is asked for, in seconds. */
  readonly durationSeconds: number;
}

/** Reads the flags as their programs do, with the variables of the environment that stand for some. */
export function legacyPlaceOf(config: LegacyConfig, profile: Profile, env: Env): LegacyPlace {
  const appPort = config.appPort ?? config.port ?? PROFILE_TRAITS[profile].port;
  return {
    port: appPort,
    metrics: metricsOf(config, profile, appPort),
    nodeName: config.node || env["NODE_NAME"] || env["HOSTNAME"] || "",
    hostIp: config.hostIp || config.host || env["HOST_IP"] || "",
    region: config.region || env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || "",
    logLevel: config.verbose ? "debug" : (config.logLevel ?? config.level ?? "info"),
    waitMs: within(config.backoffMaxElapsedTime ?? PROFILE_TRAITS[profile].waitMs, 0, MAX_WAIT_MS),
    durationSeconds: within(
      wantedDurationSeconds(config) ?? 0,
      DEFAULT_DURATION_SECONDS,
      MAX_DURATION_SECONDS,
    ),
  };
}

/** A sentence for each flag that is not followed to the letter. */
export function legacyConfigWarnings(config: LegacyConfig): readonly string[] {
  const given = new Set(config.superseded);
  const idle = SUPERSEDED.flatMap(([why, flags]) => {
    const named = flags
      .map((flag) => flag.split(" ", 1)[0] ?? "")
      .filter((flag) => given.has(flag));
    return named.length === 0 ? [] : [`${named.join(", ")} ignored: ${why}`];
  });
  return [...idle, ...waitWarnings(config), ...durationWarnings(config)];
}

function waitWarnings({ backoffMaxElapsedTime: wantedMs = 0 }: LegacyConfig): readonly string[] {
  if (wantedMs <= MAX_WAIT_MS) return [];
  return [`--backoff-max-elapsed-time: a pod is waited for ${MAX_WAIT_MS / 1000} s at most`];
}

function durationWarnings(config: LegacyConfig): readonly string[] {
  const wanted = wantedDurationSeconds(config) ?? DEFAULT_DURATION_SECONDS;
  if (wanted > MAX_DURATION_SECONDS) {
    return [`credentials are good for 12h, not ${wanted} s: STS gives none for longer`];
  }
  if (wanted >= DEFAULT_DURATION_SECONDS) return [];
  const why = "SDKs fetch credentials that are about to expire before each call";
  return [`credentials are good for 1h, not ${wanted} s: ${why}`];
}

function within(number: number, min: number, max: number): number {
  return Math.min(Math.max(number, min), max);
}

function wantedDurationSeconds({
  iamRoleSessionTtl,
  sessionDuration,
}: LegacyConfig): number | undefined {
  // kube2iam asks for twice the time that it keeps credentials for.
  const wantedMs =
    sessionDuration ?? (iamRoleSessionTtl === undefined ? undefined : 2 * iamRoleSessionTtl);
  return wantedMs === undefined ? undefined : Math.floor(wantedMs / 1000);
}

function metricsOf(
  { metricsPort, prometheusListenAddr }: LegacyConfig,
  profile: Profile,
  appPort: number,
): MetricsPlace {
  if (prometheusListenAddr !== "") {
    const colon = prometheusListenAddr.lastIndexOf(":");
    const host = prometheusListenAddr.slice(0, colon).replace(/^\[(.*)\]$/, "$1");
    return {
      host: host === "" ? undefined : host,
      port: Number(prometheusListenAddr.slice(colon + 1)),
    };
  }
  // kube2iam tells its metrics on the port for pods unless it is told otherwise.
  if (metricsPort === "none") return undefined;
  if (metricsPort === undefined) return profile === "kube2iam" ? "app-port" : undefined;
  return metricsPort === appPort ? "app-port" : { host: undefined, port: metricsPort };
}
