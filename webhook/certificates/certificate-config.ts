import { isIP } from "node:net";
import { z } from "zod";
import { list, toggle, value, type ConfigOf, type Setting } from "../../lib/config.ts";
import { parseGoDurationMs } from "../../lib/go-values.ts";
import type { CertificateSettings } from "./certificate-state.ts";

/** Certificates count in whole seconds, and timers in at most some centuries. */
const MAX_DURATION_MS = 100 * 365 * 24 * 3_600_000;

function duration(flag: string, fallback: string, description: string): Setting<number> {
  const schema = z
    .string()
    .default(fallback)
    .transform((text) => parseGoDurationMs(text) ?? Number.NaN)
    .refine((ms) => ms >= 1000 && ms <= MAX_DURATION_MS, {
      error: "expected a duration of at least 1s, such as 2160h",
    });
  return { ...value(flag, schema, description), defaultText: fallback };
}

const DNS_NAME = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** No certificate is for an address with a zone, nor can one be made for the mixed notation. */
function isPlainAddress(text: string): boolean {
  return isIP(text) !== 0 && !/%|:.*\./.test(text);
}

const name = (fallback: string): z.ZodType<string> =>
  z
    .string()
    .regex(/^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/, "expected the name of a Kubernetes object")
    .default(fallback);

/** Settings of the certificates that the webhook makes for itself, or takes from files. */
export const CERTIFICATE_SETTINGS = {
  inCluster: toggle(
    "in-cluster",
    true,
    "Makes and rotates its own certificates in a Secret; false takes them from files",
  ),
  tlsSecret: value(
    "tls-secret",
    name("pod-identity-webhook"),
    "Secret of the own certificates, and Lease of the replica that rotates them",
  ),
  tlsSan: list(
    "tls-san",
    z.string().refine((text) => isPlainAddress(text) || DNS_NAME.test(text), {
      error: "expected a DNS name in lower case or an IP address",
    }),
    "Name or address of the own serving certificate beside those of the Service",
  ),
  certificateLifetimeMs: duration(
    "certificate-lifetime",
    "2160h",
    "Life of an own serving certificate",
  ),
  certificateRenewBeforeMs: duration(
    "certificate-renew-before",
    "720h",
    "How long before its end an own serving certificate is renewed",
  ),
  caLifetimeMs: duration("ca-lifetime", "87600h", "Life of an own CA"),
  caOverlapMs: duration(
    "ca-overlap",
    "1h",
    "How long old and new CA are trusted side by side, before and again after the switch",
  ),
  manageCaBundle: toggle(
    "manage-ca-bundle",
    true,
    "Keeps the caBundle of the webhook configurations when the certificates are its own",
  ),
  webhookConfiguration: list(
    "webhook-configuration",
    name(""),
    "Mutating- and ValidatingWebhookConfiguration to keep; irsa-anywhere when none is given",
  ),
  replicaName: value(
    "replica-name",
    z.string().default(""),
    "Name of this replica in the Lease; HOSTNAME when empty",
  ),
  leaseDurationMs: duration(
    "lease-duration",
    "15s",
    "How long a replica that has died keeps the Lease",
  ),
} as const;

type CertificateConfig = ConfigOf<typeof CERTIFICATE_SETTINGS>;

/** Rules between the settings, as sentences about those that are broken. */
export function checkCertificateConfig(config: CertificateConfig): readonly string[] {
  const { certificateLifetimeMs, certificateRenewBeforeMs, caLifetimeMs, caOverlapMs } = config;
  return [
    ...(certificateRenewBeforeMs >= certificateLifetimeMs
      ? ["--certificate-renew-before must be shorter than --certificate-lifetime"]
      : []),
    ...(caOverlapMs >= certificateLifetimeMs
      ? ["--ca-overlap must be shorter than --certificate-lifetime"]
      : []),
    ...(caLifetimeMs <= certificateLifetimeMs + 2 * caOverlapMs
      ? ["--ca-lifetime must be longer than --certificate-lifetime and twice --ca-overlap"]
      : []),
  ];
}

const DEFAULT_CONFIGURATIONS: readonly string[] = ["irsa-anywhere"];

/** Names of the webhook configurations whose `caBundle` is kept. */
export function keptConfigurations({
  manageCaBundle,
  webhookConfiguration,
}: CertificateConfig): readonly string[] {
  if (!manageCaBundle) return [];
  return webhookConfiguration.length === 0 ? DEFAULT_CONFIGURATIONS : webhookConfiguration;
}

/** Lives and names of the own certificates; the names are those by which a Service is reached. */
export function certificateSettingsOf(
  config: CertificateConfig & { readonly serviceName: string; readonly namespace: string },
): CertificateSettings {
  const { serviceName, namespace } = config;
  const inNamespace = `${serviceName}.${namespace}`;
  return {
    names: [
      serviceName,
      inNamespace,
      `${inNamespace}.svc`,
      `${inNamespace}.svc.cluster.local`,
      ...config.tlsSan,
    ],
    certificateLifetimeMs: config.certificateLifetimeMs,
    renewBeforeMs: config.certificateRenewBeforeMs,
    caLifetimeMs: config.caLifetimeMs,
    caOverlapMs: config.caOverlapMs,
  };
}
