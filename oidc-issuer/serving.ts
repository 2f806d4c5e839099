import { X509Certificate } from "node:crypto";
import { listen, type ListenOptions, type RunningServer } from "../lib/http.ts";
import { watchKeyPair, type KeyPair } from "../lib/server-certificate.ts";
import { createApp } from "./app.ts";
import type { IssuerConfig } from "./config.ts";
import type { Parts } from "./parts.ts";

const CERTIFICATE_POLL_MS = 10_000;
const DEFAULT_PORT = { https: 8443, http: 8080 };

/** STS sends a few hundred bytes; nobody needs more of a public server than this. */
const MAX_HEADER_BYTES = 8 * 1024;

/** Where to listen, and how long to wait for open requests on stop. */
export type Net = Pick<ListenOptions, "host" | "drainMs">;

/**
 * Serves the documents: over TLS with the pair of the config, exchanged while serving, or over plain HTTP.
 *
 * @throws AppError CERTIFICATE_INVALID, or the error of the server, such as EADDRINUSE
 */
export async function serveDocuments(
  config: IssuerConfig,
  { issuer, desired, metrics, log, clock }: Parts,
  net: Net,
  signal: AbortSignal,
): Promise<RunningServer> {
  const app = createApp({
    issuer,
    allowedHosts: config.allowedHosts,
    cacheTimes: config,
    documents: () => desired.documents(),
    metrics,
    log,
    nowMs: () => clock.now(),
  });
  const limits = { ...net, maxHeaderBytes: MAX_HEADER_BYTES };
  if (config.tlsCert === "") {
    log.warn("Serving plain HTTP: TLS must end in front of it");
    return listen(app, { ...limits, port: config.port ?? DEFAULT_PORT.http });
  }
  const use = (pair: KeyPair): void => {
    current = pair;
    server?.setCertificate(pair);
    metrics.certificateExpires(new X509Certificate(pair.cert).validToDate.getTime());
  };
  let server: RunningServer | undefined;
  let current = await watchKeyPair(
    { certFile: config.tlsCert, keyFile: config.tlsKey },
    {
      clock,
      pollMs: CERTIFICATE_POLL_MS,
      signal,
      onChange(pair) {
        use(pair);
        log.info("Serving a new certificate");
      },
      onError: (err) => log.error({ err }, "Could not read the new certificate; the old one stays"),
    },
  );
  server = await listen(app, {
    ...limits,
    port: config.port ?? DEFAULT_PORT.https,
    keyPair: current,
  });
  // It may have changed while the server started.
  use(current);
  return server;
}
