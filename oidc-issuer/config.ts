import { z } from "zod";
import { defineConfig, integer, list, toggle, value, type ConfigOf } from "../lib/config.ts";
import { LOG_LEVELS } from "../lib/log.ts";
import { issuerViolations } from "./issuer-url.ts";

const optional = z.string().default("");
const DNS_LABEL = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";

const issuerUrl = z
  .string({ error: "expected the issuer URL, such as https://oidc.example.com/prod" })
  .superRefine((raw, context) => {
    for (const message of issuerViolations(raw)) context.addIssue({ code: "custom", message });
  });

const MAX_PORT = 65_535;

/** `--port` without a default of its own: that follows from whether TLS is served. */
const optionalPort = z
  .string()
  .default("")
  .refine((text) => text === "" || (/^\d{1,5}$/.test(text) && Number(text) <= MAX_PORT), {
    error: `expected an integer from 0 to ${MAX_PORT}`,
  })
  .transform((text) => (text === "" ? undefined : Number(text)));

const apiServerUrl = z.string().refine((text) => isOrigin(text), {
  error: "expected a URL such as https://10.0.0.1:6443",
});

const hostName = z
  .string()
  .regex(/^([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])$/i, "expected a host without a port");

/** Everything `irsa issuer` can be told. */
export const issuerConfig = defineConfig(
  {
    issuer: value("issuer", issuerUrl, "Issuer URL: the first --service-account-issuer"),
    discoverApiServers: toggle(
      "discover-api-servers",
      false,
      "Takes the keys of every API server in the EndpointSlices of default/kubernetes; so also when no other source is given",
    ),
    apiServers: list("api-server", apiServerUrl, "URL of an API server whose keys to take"),
    apiServerName: value(
      "api-server-name",
      optional,
      "Name that the certificates of each --api-server must be for, when not the URL's host",
    ),
    keyFiles: list("key-file", z.string().min(1, "expected a file"), "PEM file of keys to publish"),
    kubeconfig: value("kubeconfig", optional, "Kubeconfig file; else --kube-api or in-cluster"),
    kubeApi: value("kube-api", optional, "URL of the API server"),
    pollSeconds: value(
      "poll-seconds",
      integer({ min: 1, max: 3600, fallback: 30 }),
      "Time between two polls of a source, in seconds",
    ),
    // Lower bound: the shortest life of a projected token. The default is the longest usual one, 24 h,
    // with 5 minutes of clock skew and an hour for SDKs that try again.
    retireAfterSeconds: value(
      "retire-after-seconds",
      integer({ min: 600, fallback: 26 * 3600 }),
      "How long a key must be absent from every source before it is removed, in seconds",
    ),
    retireKids: list(
      "retire-kid",
      z.string().min(1, "expected a key id"),
      "Key id to remove now, also when a source still serves it",
    ),
    stateFile: value("state-file", optional, "File that keeps the last good keys over a restart"),
    stateConfigMap: value(
      "state-configmap",
      z
        .string()
        .default("")
        .refine((text) => text === "" || new RegExp(`^${DNS_LABEL}/[a-z0-9.-]+$`).test(text), {
          error: "expected NAMESPACE/NAME",
        }),
      "ConfigMap that keeps the last good keys over a restart, as NAMESPACE/NAME",
    ),
    publishDir: value("publish-dir", optional, "Directory to write the documents to"),
    once: toggle("once", false, "Publishes once to --publish-dir and exits"),
    serve: toggle("serve", true, "Whether to serve the documents over HTTP"),
    host: value("host", optional, "Address to listen on; all interfaces when empty"),
    port: value("port", optionalPort, "Port to serve on; 8443 with --tls-cert, else 8080"),
    metricsPort: value(
      "metrics-port",
      integer({ min: 0, max: MAX_PORT, fallback: 9999 }),
      "Port of /healthz, /readyz and /metrics (plain HTTP)",
    ),
    tlsCert: value("tls-cert", optional, "Serving certificate with its chain (PEM file, reloaded)"),
    tlsKey: value("tls-key", optional, "Private key of the serving certificate (PEM file)"),
    allowedHosts: list("allowed-host", hostName, "Host to answer beside the issuer's own"),
    discoveryMaxAgeSeconds: value(
      "discovery-max-age-seconds",
      integer({ min: 60, max: 86_400, fallback: 3600 }),
      "How long the discovery document may be cached, in seconds",
    ),
    jwksMaxAgeSeconds: value(
      "jwks-max-age-seconds",
      integer({ min: 60, max: 86_400, fallback: 300 }),
      "How long the keys may be cached, in seconds",
    ),
    jwksStaleIfErrorSeconds: value(
      "jwks-stale-if-error-seconds",
      integer({ min: 0, max: 604_800, fallback: 86_400 }),
      "How long a cache may go on with old keys while the issuer does not answer, in seconds",
    ),
    drainSeconds: value(
      "drain-seconds",
      integer({ min: 0, max: 3600, fallback: 10 }),
      "Longest wait for open requests on stop, in seconds",
    ),
    logLevel: value("log-level", z.enum(LOG_LEVELS).default("info"), LOG_LEVELS.join(", ")),
  },
  (config) => {
    const { discoverApiServers, apiServers } = config;
    const rules: readonly (readonly [boolean, string])[] = [
      [
        discoverApiServers && apiServers.length > 0,
        "--discover-api-servers and --api-server exclude each other: give one",
      ],
      [
        isGiven(config.apiServerName) && apiServers.length === 0,
        "--api-server-name needs --api-server",
      ],
      [
        isGiven(config.kubeconfig) && isGiven(config.kubeApi),
        "--kubeconfig and --kube-api exclude each other: give one",
      ],
      [
        isGiven(config.stateFile) && isGiven(config.stateConfigMap),
        "--state-file and --state-configmap exclude each other: give one",
      ],
      [
        isGiven(config.tlsCert) !== isGiven(config.tlsKey),
        "--tls-cert and --tls-key need each other: give both or none",
      ],
      [config.once && !isGiven(config.publishDir), "--once needs --publish-dir"],
      [
        !config.once && !config.serve && !isGiven(config.publishDir),
        "nothing to do: --serve=false needs --publish-dir",
      ],
    ];
    return rules.filter(([broken]) => broken).map(([, message]) => message);
  },
);

export type IssuerConfig = ConfigOf<typeof issuerConfig.settings>;

/** Whether the API servers are found by EndpointSlices: when asked for, or no other source is given. */
export function findsApiServers(
  config: Pick<IssuerConfig, "discoverApiServers" | "apiServers" | "keyFiles">,
): boolean {
  const { discoverApiServers, apiServers, keyFiles } = config;
  return discoverApiServers || (apiServers.length === 0 && keyFiles.length === 0);
}

function isGiven(text: string): boolean {
  return text !== "";
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return (
    url !== null &&
    ["https:", "http:"].includes(url.protocol) &&
    url.pathname === "/" &&
    url.username + url.password + url.search + url.hash === "" &&
    !text.endsWith("/")
  );
}
