import { X509Certificate } from "node:crypto";
import type { Clock } from "../../lib/clock.ts";
import type { ConfigOf } from "../../lib/config.ts";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { startLease } from "../../lib/kube/lease.ts";
import type { Logger } from "../../lib/log.ts";
import { watchKeyPair, type KeyPair } from "../../lib/server-certificate.ts";
import {
  certificateSettingsOf,
  keptConfigurations,
  type CERTIFICATE_SETTINGS,
} from "../certificates/certificate-config.ts";
import type { CertificateMetrics } from "../certificates/certificate-metrics.ts";
import { makeProvisionalPair } from "../certificates/make-certificates.ts";
import { startOwnCertificates } from "../certificates/own-certificates.ts";

/** How soon a changed certificate file is noticed, in milliseconds. */
export const CERTIFICATE_POLL_MS = 1000;

type ServingConfig = ConfigOf<typeof CERTIFICATE_SETTINGS> & {
  readonly serviceName: string;
  readonly namespace: string;
  readonly tlsCert: string;
  readonly tlsKey: string;
};

interface ServingDeps {
  readonly connection: Pick<KubeConnection, "request" | "stream">;
  /** Name of this replica where the settings give none. */
  readonly hostname: string;
  readonly clock: Clock;
  readonly log: Pick<Logger, "debug" | "info" | "warn" | "error">;
  readonly metrics: CertificateMetrics;
  /** Serve this pair from now on. */
  readonly onChange: (pair: KeyPair) => void;
}

/** The certificate that a server presents, whatever it comes from. */
export interface ServingCertificate extends AsyncDisposable {
  /** What to serve now. */
  readonly current: KeyPair;
  /** Why clients could not trust it; undefined when they can, as far as one can tell. */
  notReadyBecause(): string | undefined;
  readonly whenReady: Promise<void>;
}

/**
 * Gets the serving certificate: made by the webhook itself in the cluster, or read from files.
 *
 * @throws AppError CERTIFICATE_INVALID when the files cannot be used.
 */
export async function startServingCertificate(
  config: ServingConfig,
  deps: ServingDeps,
): Promise<ServingCertificate> {
  const { log, metrics } = deps;
  let current: KeyPair | undefined;
  const use = (pair: KeyPair): void => {
    current = pair;
    const expires = new X509Certificate(pair.cert).validToDate;
    metrics.certificateExpirySeconds.set(expires.getTime() / 1000);
    log.info({ expires }, "Using serving certificate");
    deps.onChange(pair);
  };
  const start = config.inCluster ? startOwn : startFiles;
  const { first, ...source } = await start(config, { ...deps, onChange: use });
  return {
    ...source,
    get current() {
      return current ?? first;
    },
  };
}

type Source = Omit<ServingCertificate, "current"> & { readonly first: KeyPair };

async function startFiles(
  { tlsCert, tlsKey }: ServingConfig,
  { clock, log, onChange }: ServingDeps,
): Promise<Source> {
  const stop = new AbortController();
  const first = await watchKeyPair(
    { certFile: tlsCert, keyFile: tlsKey },
    {
      clock,
      pollMs: CERTIFICATE_POLL_MS,
      signal: stop.signal,
      onChange,
      onError: (err) =>
        log.error({ err }, "Cannot reload the serving certificate, keeping the old"),
    },
  );
  onChange(first);
  return {
    first,
    notReadyBecause: () => undefined,
    whenReady: Promise.resolve(),
    async [Symbol.asyncDispose]() {
      stop.abort();
    },
  };
}

async function startOwn(config: ServingConfig, deps: ServingDeps): Promise<Source> {
  const { connection, hostname, clock, log, metrics, onChange } = deps;
  const { namespace, tlsSecret } = config;
  const settings = certificateSettingsOf(config);
  // Probes are answered from the start, also while there is no Secret yet.
  const first = await makeProvisionalPair({ clock, settings });
  await using stack = new AsyncDisposableStack();
  const lease = stack.use(
    startLease({
      connection,
      namespace,
      name: tlsSecret,
      identity: config.replicaName || hostname,
      durationSeconds: Math.ceil(config.leaseDurationMs / 1000),
      clock,
      log,
    }),
  );
  const own = stack.use(
    startOwnCertificates({
      connection,
      lease,
      namespace,
      secretName: tlsSecret,
      webhookConfigurations: keptConfigurations(config),
      settings,
      clock,
      log,
      metrics,
      onServing: onChange,
    }),
  );
  const running = stack.move();
  return {
    first,
    notReadyBecause: () => own.notReadyBecause(),
    whenReady: own.whenReady,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
