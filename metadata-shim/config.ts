import { z } from "zod";
import { defineConfig, integer, list, toggle, value, type ConfigOf } from "../lib/config.ts";
import { AppError } from "../lib/errors.ts";
import { AGENT_HOSTS } from "./container-credentials/answers.ts";
import { hostOf, METADATA_HOSTS } from "./imds/allowed-hosts.ts";
import type { InstanceFacts } from "./imds/metadata-tree.ts";
import { EVENT_REASONS, type EventReasons } from "./pod-events.ts";
import {
  LEGACY_SETTINGS,
  legacyConfigWarnings,
  legacyPlaceOf,
  type LegacyPlace,
} from "./legacy/legacy-config.ts";
import { checkRoleConfig, ROLE_SETTINGS, roleConfigWarnings } from "./role/role-config.ts";
import { parseHostAddresses } from "./rules/host-addresses.ts";
import { parseInterfaces, type RuleSettings } from "./rules/rule-settings.ts";

const port = (fallback: number): z.ZodType<number> => integer({ min: 0, max: 65_535, fallback });
const folder = (fallback: string): z.ZodType<string> =>
  z.string().regex(/^\//, "expected an absolute path").default(fallback);
/** Of what goes into an answer as it is. */
const word = z
  .string()
  .regex(/^(\S+)?$/, "expected a text without white space")
  .default("");

const SERVER_SETTINGS = {
  bindAddress: value(
    "bind-address",
    z.string().default(""),
    "Address to serve pods on; all interfaces when empty",
  ),
  adminPort: value(
    "admin-port",
    port(8182),
    "Port of /healthz, /readyz, /metrics and /debug/state, on 127.0.0.1 only",
  ),
  allowedHosts: list(
    "allowed-host",
    z.string().regex(/^[\w.:[\]-]+$/, "expected a host name or an address"),
    "Host to answer beside the metadata service's own addresses and those of this node",
  ),
  stateDir: value(
    "state-dir",
    folder("/var/lib/irsa-shim"),
    "Folder of this node that keeps the key of session tokens over a restart",
  ),
  drainSeconds: value(
    "drain-seconds",
    integer({ min: 0, max: 3600, fallback: 5 }),
    "Longest wait for open requests on stop, in seconds",
  ),
  rulesReadyFile: value(
    "rules-ready-file",
    z.string().default(""),
    "File that is there as long as all rules are: the --ready-file of irsa shim rules apply",
  ),
  removeTaint: value(
    "remove-taint",
    z
      .string()
      .regex(/^([\w.-]+(\/[\w.-]+)?)?$/, "expected the key of a taint")
      .default(""),
    "Key of a taint to take from this node once shim and rules are ready",
  ),
} as const;

const CALLER_SETTINGS = {
  httpTokens: value(
    "http-tokens",
    z.enum(["required", "optional"], { error: "expected required or optional" }).optional(),
    "Whether reads need a session token (IMDSv2); required in the profile strict, else optional",
  ),
  attestation: toggle(
    "attestation",
    true,
    "Whether the kernel is asked which pod a connection comes from; else a live read has to tell",
  ),
  procFolder: value(
    "proc-folder",
    folder("/proc"),
    "Where the processes of this node are seen, for --attestation",
  ),
  eventReasons: value(
    "event-reasons",
    z
      .string()
      .default("own")
      .refine((text): text is EventReasons => Object.hasOwn(EVENT_REASONS, text), {
        error: "expected own or kiam",
      }),
    "Reasons of Events on pods: own or kiam",
  ),
} as const;

const CREDENTIAL_SETTINGS = {
  kubeletRoot: value(
    "kubelet-root",
    folder("/var/lib/kubelet"),
    "kubelet's folder, where the tokens of the pods of this node are",
  ),
  tokenVolumeName: value(
    "token-volume-name",
    z
      .string()
      .regex(/^[a-z0-9-]+$/, "expected the name of a volume")
      .default("aws-iam-token"),
    "Volume of the tokens that the webhook projects",
  ),
  tokenRequest: toggle(
    "token-request",
    true,
    "Whether the API server is asked for a token of pods that have none",
  ),
  legacyAssumeRole: toggle(
    "legacy-assume-role",
    false,
    "Whether the node assumes roles of pod annotations where web identity is denied or has no token",
  ),
  stsCallsPerMinute: value(
    "sts-calls-per-minute",
    integer({ min: 1, fallback: 120 }),
    "Calls of STS for each AWS account in the long run",
  ),
} as const;

const INSTANCE_SETTINGS = {
  availabilityZone: value("availability-zone", word, "Availability zone that pods are told"),
  availabilityZoneId: value("availability-zone-id", word, "Its id, such as euw1-az1"),
  instanceId: value("instance-id", word, "Instance id that pods are told"),
  instanceType: value("instance-type", word, "Instance type that pods are told"),
  imageId: value("ami-id", word, "Image id that pods are told"),
  hostname: value("hostname", word, "Host name of this node that pods are told"),
} as const;

const CONTAINER_SETTINGS = {
  containerCredentials: toggle(
    "container-credentials",
    false,
    "Serves container credentials too, as EKS Pod Identity's agent does",
  ),
  containerCredentialsHosts: {
    ...list(
      "container-credentials-host",
      z.string().regex(/^[\da-f.:]+$/i, "expected an address"),
      "Address to serve container credentials on",
    ),
    defaultText: AGENT_HOSTS.join(" "),
  },
  containerCredentialsPort: value(
    "container-credentials-port",
    port(80),
    "Port to serve container credentials on",
  ),
  containerCredentialsAudience: value(
    "container-credentials-audience",
    z.string().min(1, "expected an audience").default("pods.eks.amazonaws.com"),
    "Audience of the tokens for container credentials",
  ),
} as const;

/** Everything `irsa shim` can be told; the flags of kube2iam and kiam keep their names. */
export const shimConfig = defineConfig(
  {
    ...ROLE_SETTINGS,
    ...SERVER_SETTINGS,
    ...CALLER_SETTINGS,
    ...CREDENTIAL_SETTINGS,
    ...INSTANCE_SETTINGS,
    ...CONTAINER_SETTINGS,
    ...LEGACY_SETTINGS,
  },
  (config) => {
    const { port: appPort, metrics, hostIp } = legacyPlaceOf(config, config.profile, {});
    const { adminPort, kubeconfig, apiServer } = config;
    const hostIps = hostIp === "" ? {} : parseHostAddresses(hostIp);
    const interfaces = parseInterfaces(config.hostInterface);
    const metricsPort = typeof metrics === "object" ? metrics.port : undefined;
    const rules: readonly (readonly [boolean, string])[] = [
      [
        kubeconfig !== "" && apiServer !== "",
        "--kubeconfig and --api-server exclude each other: give one",
      ],
      [
        config.legacyAssumeRole && config.profile === "strict",
        "--legacy-assume-role is for the profiles kube2iam and kiam",
      ],
      [adminPort !== 0 && adminPort === appPort, "--admin-port and --app-port are the same"],
      [
        adminPort !== 0 && adminPort === metricsPort,
        "--admin-port and --metrics-port are the same",
      ],
      [
        metrics === "app-port" && config.profile === "strict",
        "--metrics-port and --app-port are the same: pods would see the metrics",
      ],
    ];
    return [
      ...checkRoleConfig(config),
      ...(typeof hostIps === "string" ? [`--host-ip: ${hostIps}`] : []),
      ...(typeof interfaces === "string" ? [`--host-interface: ${interfaces}`] : []),
      ...rules.filter(([isBroken]) => isBroken).map(([, message]) => message),
    ];
  },
);

export type ShimConfig = ConfigOf<typeof shimConfig.settings>;

/** A sentence for each setting that is not followed to the letter, or opens what is closed else. */
export function configWarnings(config: ShimConfig): readonly string[] {
  return [
    ...roleConfigWarnings(config),
    ...legacyConfigWarnings(config),
    ...(config.legacyAssumeRole
      ? ["--legacy-assume-role: the node assumes roles that do not trust the pods that get them"]
      : []),
  ];
}

/** What pods are told of the node: what the configuration says, and nothing else. */
export function instanceFactsOf(config: ShimConfig, place: LegacyPlace): InstanceFacts {
  return {
    region: given(place.region),
    availabilityZone: given(config.availabilityZone),
    availabilityZoneId: given(config.availabilityZoneId),
    instanceId: given(config.instanceId),
    instanceType: given(config.instanceType),
    imageId: given(config.imageId),
    hostname: given(config.hostname),
    localIpv4: nodeAddressesOf(place).find((address) => !address.includes(":")),
  };
}

function given(text: string): string | undefined {
  return text === "" ? undefined : text;
}

/** The addresses of the node that were given. */
export function nodeAddressesOf({ hostIp }: Pick<LegacyPlace, "hostIp">): readonly string[] {
  const parsed = hostIp === "" ? {} : parseHostAddresses(hostIp);
  return typeof parsed === "string" ? [] : Object.values(parsed);
}

/**
 * What `--iptables` asks for; undefined without it.
 *
 * @throws AppError CONFIG_INVALID without an address of this node.
 */
export function ownRuleSettingsOf(
  { iptables, hostInterface }: Pick<ShimConfig, "iptables" | "hostInterface">,
  { hostIp, port: appPort }: LegacyPlace,
): RuleSettings | undefined {
  if (!iptables) return undefined;
  // By now the environment has been asked too, which a check of flags alone does not know.
  const hostIps = hostIp === "" ? "expected an address of this node" : parseHostAddresses(hostIp);
  const interfaces = parseInterfaces(hostInterface);
  if (typeof hostIps === "string" || typeof interfaces === "string") {
    const problem = `--iptables needs --host-ip: ${String([hostIps, interfaces].find(isText))}`;
    throw new AppError("CONFIG_INVALID", 500, `Cannot use the setting:\n  ${problem}`);
  }
  return { hostIps, port: appPort, interfaces };
}

function isText(result: unknown): result is string {
  return typeof result === "string";
}

/** Hosts that are answered, in lower case, IPv6 addresses without brackets. */
export function allowedHostsOf(
  { allowedHosts }: Pick<ShimConfig, "allowedHosts">,
  place: Pick<LegacyPlace, "hostIp">,
): ReadonlySet<string> {
  const others = allowedHosts.map((text) => {
    const isBareIpv6 = !text.startsWith("[") && text.split(":").length > 2;
    return isBareIpv6 ? text.toLowerCase() : hostOf(text);
  });
  return new Set([...METADATA_HOSTS, ...nodeAddressesOf(place), ...others]);
}
