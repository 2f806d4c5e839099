import { z } from "zod";
import { parseGoInteger } from "../../lib/go-values.ts";
import { defineConfig, integer, toggle, value } from "../../lib/config.ts";
import { AppError } from "../../lib/errors.ts";
import { LOG_LEVELS } from "../../lib/log.ts";
import { PROFILE_TRAITS, type Profile } from "../role/profile.ts";
import { ROLE_SETTINGS } from "../role/role-config.ts";
import { parseHostAddresses } from "./host-addresses.ts";
import { BACKENDS } from "./iptables.ts";
import { parseInterfaces, type InterfaceSelection, type RuleSettings } from "./rule-settings.ts";

const WANTED_PORT = "expected an integer from 1 to 65535";

// The names are kube2iam's where it has one.
const hostIp = value(
  "host-ip",
  z
    .string({ error: "expected the node's address, or two of them: 10.0.0.5,fd00::5" })
    .superRefine(orProblem(parseHostAddresses)),
  "Address of this node that the shim listens on; of both families, separated by a comma, for both",
);

// The shim's own flags, so that both find the same port by the same words.
const { profile } = ROLE_SETTINGS;
const portNumber = z.optional(
  z.preprocess(
    (text) => (typeof text === "string" ? (parseGoInteger(text) ?? text) : text),
    z.number({ error: WANTED_PORT }).min(1, WANTED_PORT).max(65_535, WANTED_PORT),
  ),
);
const place = {
  profile,
  appPort: value(
    "app-port",
    portNumber,
    "Port that the shim listens on (8181, in the profile kiam 3100)",
  ),
  port: value("port", portNumber, "The same by kiam's name"),
} as const;

const hostInterface = value(
  "host-interface",
  // Kept as text, so that the help can tell the default.
  z.string().default("").superRefine(orProblem(parseInterfaces)),
  "Interfaces that pods come in by, such as eni+,cali+,!eth0; any without it",
);

const iptablesBackend = value(
  "iptables-backend",
  z.enum(["auto", ...BACKENDS], { error: "expected auto, nft or legacy" }).default("auto"),
  "auto (the one that kubelet uses), nft or legacy",
);

/** What `irsa shim rules show` can be told. */
export const showConfig = defineConfig({ ...place, hostIp, hostInterface });

/** What `irsa shim rules apply` can be told. */
export const applyConfig = defineConfig({
  ...place,
  hostIp,
  hostInterface,
  iptablesBackend,
  containerCredentials: toggle(
    "container-credentials",
    false,
    "Also makes the link with the addresses of the container-credentials endpoint",
  ),
  watch: toggle("watch", false, "Goes on looking, and puts back rules that are lost"),
  watchIntervalMs: value(
    "watch-interval-ms",
    integer({ min: 100, fallback: 5000 }),
    "How often --watch looks, in milliseconds",
  ),
  readyFile: value(
    "ready-file",
    z.string().default(""),
    "File that is there as long as all rules are",
  ),
  logLevel: value("log-level", z.enum(LOG_LEVELS).default("info"), "debug, info, warn or error"),
});

/** What `irsa shim rules remove` can be told. */
export const removeConfig = defineConfig({
  ...place,
  hostIp: value(
    "host-ip",
    z
      .string()
      .default("")
      .superRefine(orProblem((text) => (text === "" ? {} : parseHostAddresses(text)))),
    "Address of this node; rules of kube2iam or kiam that lead to --app-port of it go too",
  ),
});

/** The addresses of a config that was read. */
export function hostIpsOf({ hostIp: text }: { readonly hostIp: string }): RuleSettings["hostIps"] {
  return text === "" ? {} : parsed(parseHostAddresses(text));
}

/** Where the shim listens, by the flags that tell the shim too. */
interface PortConfig {
  readonly profile?: Profile;
  readonly appPort?: number | undefined;
  readonly port?: number | undefined;
}

/** The port of a config that was read. */
export function rulePortOf({ profile: name = "strict", appPort, port }: PortConfig): number {
  return appPort ?? port ?? PROFILE_TRAITS[name].port;
}

/** What the rules are made from, of a config that was read. */
export function ruleSettingsOf(
  config: PortConfig & { readonly hostIp: string; readonly hostInterface: string },
): RuleSettings {
  const interfaces: InterfaceSelection = parsed(parseInterfaces(config.hostInterface));
  return { hostIps: hostIpsOf(config), port: rulePortOf(config), interfaces };
}

function parsed<T extends object>(result: T | string): T {
  if (typeof result === "string") throw new AppError("CONFIG_INVALID", 500, result);
  return result;
}

/** A check that takes what a parser takes, and else tells its sentence. */
function orProblem(
  parse: (text: string) => object | string,
): (text: string, context: z.RefinementCtx) => void {
  return (text, context) => {
    const result = parse(text);
    if (typeof result === "string") context.addIssue({ code: "custom", message: result });
  };
}
