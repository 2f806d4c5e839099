import type { RequestListener } from "node:http";
import { listen, type RunningServer } from "../lib/http.ts";
import { createConnectionLimit } from "./connection-limit.ts";

/** Clients ask small things over a wire without length; who is slower than this is up to something. */
const TIMEOUTS = { headersMs: 2000, requestMs: 5000, keepAliveMs: 5000 };
/** As Node has it: ServiceAccount tokens are headers here, and nonsense of 10 KB is to be a 401. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Serves pods: with short patience, and few connections for each address.
 *
 * @throws the `error` event of the server, such as EADDRINUSE and EADDRNOTAVAIL
 */
export function servePods(
  app: RequestListener,
  {
    port,
    host,
    drainMs,
    onRefusedConnection,
  }: {
    readonly port: number;
    readonly host: string | undefined;
    readonly drainMs: number;
    readonly onRefusedConnection: () => void;
  },
): Promise<RunningServer> {
  const acceptConnection = createConnectionLimit({ onRefused: onRefusedConnection });
  return listen(app, {
    port,
    host,
    drainMs,
    maxHeaderBytes: MAX_HEADER_BYTES,
    timeouts: TIMEOUTS,
    // Nearly all requests here announce none.
    optimizeEmptyRequests: true,
    acceptConnection,
  });
}
