import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { get } from "node:https";
import { text } from "node:stream/consumers";

const TIMEOUT_MS = 5000;

/** An answer as it came over the wire. */
export interface HttpsAnswer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One GET over a connection of its own, below the typed clients: headers and exact bytes. */
export async function httpsGet(
  url: string,
  {
    caPem,
    clientCertificate,
    headers = {},
  }: {
    /** The server's certificate has to be issued by this authority. */
    readonly caPem: string;
    readonly clientCertificate?: { readonly cert: string; readonly key: string } | undefined;
    readonly headers?: Readonly<Record<string, string>> | undefined;
  },
): Promise<HttpsAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  get(url, { ca: caPem, ...clientCertificate, headers, agent: false, signal }, resolve).on(
    "error",
    reject,
  );
  const response = await promise;
  return {
    status: response.statusCode,
    headers: response.headers,
    body: await text(response),
  };
}
