import { z } from "zod";
import { value, type ConfigOf } from "../../lib/config.ts";
import { droppedSuites, isSuite, suiteNamesOf } from "./cipher-suites.ts";

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

/** What the HTTPS server presents, and the least that it takes. */
export const TLS_SETTINGS = {
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
} as const;

type TlsConfig = ConfigOf<typeof TLS_SETTINGS>;

/** The TLS floor of the server. */
export function minTlsVersionOf({
  tlsMinVersion,
}: Pick<TlsConfig, "tlsMinVersion">): "TLSv1.2" | "TLSv1.3" {
  return MIN_TLS_VERSIONS[tlsMinVersion] ?? "TLSv1.2";
}

/** A sentence for each setting here that is accepted but not followed to the letter. */
export function tlsConfigWarnings({
  tlsMinVersion,
  tlsCipherSuites,
}: Pick<TlsConfig, "tlsMinVersion" | "tlsCipherSuites">): readonly string[] {
  return [
    ...(/1\.?[01]$/.test(tlsMinVersion)
      ? [`--tls-min-version ${tlsMinVersion} raised to 1.2: nothing older is served`]
      : []),
    ...droppedSuites(tlsCipherSuites).map((name) => `${name} is not served: no TLS library has it`),
  ];
}
