import { once } from "node:events";
import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { Server as TcpServer, type AddressInfo, type Socket } from "node:net";
import type { KeyPair } from "./server-certificate.ts";

export interface RunningServer extends AsyncDisposable {
  /** The port in use; differs from the one asked for when that was 0. */
  readonly port: number;
  /** Serves this pair from the next handshake on; open connections go on. Only with TLS. */
  setCertificate(pair: KeyPair): void;
}

export interface ListenOptions {
  readonly port: number;
  /** Address to bind; all interfaces when absent. */
  readonly host?: string | undefined;
  /** Longest wait for open requests on close, in milliseconds, before they are cut. */
  readonly drainMs: number;
  /** Serves HTTPS with this pair; plain HTTP when absent. */
  readonly keyPair?: KeyPair | undefined;
  /** TLS version floor. STS wants a server that also speaks 1.2 (IAM guide, thumbprints). */
  readonly minTlsVersion?: "TLSv1.2" | "TLSv1.3" | undefined;
  /** Cipher suites served, as Node's TLS takes them; Node's own when absent. */
  readonly ciphers?: string | undefined;
  /** Larger request headers are refused with 431, in bytes; Node's own 16 KiB when absent. */
  readonly maxHeaderBytes?: number | undefined;
  /** How long clients may take; {@link PATIENT} when absent. */
  readonly timeouts?: ClientTimeouts | undefined;
  /**
   * Spares requests whose head announces no body the life of a stream; a handler that reads bodies would
   * wait for their end in vain. Off when absent.
   */
  readonly optimizeEmptyRequests?: boolean | undefined;
  /** Whether a new connection is served; one that is not is closed at once. All are when absent. */
  readonly acceptConnection?: ((socket: Socket) => boolean) | undefined;
}

/** How long clients may take, in milliseconds; who takes longer is answered 408, or closed. */
export interface ClientTimeouts {
  /** For the head of a request, on a new connection also for its first byte. */
  readonly headersMs: number;
  /** For a whole request. */
  readonly requestMs: number;
  /** Between requests. */
  readonly keepAliveMs: number;
}

const PATIENT: ClientTimeouts = {
  headersMs: 30_000,
  requestMs: 30_000,
  // Above the 90 s idle timeout of Go's HTTP client (the API server), so that the client closes
  // first and no request is lost on a half-closed connection. Node's own default is 5 s.
  keepAliveMs: 95_000,
};

const MAX_HEADER_BYTES = 16 * 1024;

const NO_PROXY =
  "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET, HEAD\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/** On close, connections without a request are kept for this long: one may be on its way. */
const IDLE_GRACE_MS = 250;

/**
 * Starts listening and resolves once connections are accepted.
 *
 * @throws the `error` event of the server, such as EADDRINUSE.
 */
export async function listen(
  handler: RequestListener,
  {
    port,
    host,
    drainMs,
    keyPair,
    minTlsVersion = "TLSv1.2",
    ciphers,
    maxHeaderBytes = MAX_HEADER_BYTES,
    timeouts = PATIENT,
    optimizeEmptyRequests = false,
    acceptConnection = () => true,
  }: ListenOptions,
): Promise<RunningServer> {
  const limits = {
    maxHeaderSize: maxHeaderBytes,
    requestTimeout: timeouts.requestMs,
    headersTimeout: timeouts.headersMs,
    keepAliveTimeout: timeouts.keepAliveMs,
    connectionsCheckingInterval: Math.min(timeouts.headersMs / 2, 30_000),
    optimizeEmptyRequests,
  };
  const secureOptions = {
    minVersion: minTlsVersion,
    ...(ciphers === undefined ? {} : { ciphers }),
  };
  const answers = withLastAnswers(handler);
  const secure =
    keyPair === undefined
      ? undefined
      : createHttpsServer({ ...limits, ...keyPair, ...secureOptions }, answers.handler);
  const server: Server = secure ?? createHttpServer(limits, answers.handler);
  // Also those that have said nothing yet, not even in TLS: the HTTP server does not know of them.
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    if (!acceptConnection(socket)) {
      socket.destroy();
      return;
    }
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  // Without a listener Node would close the connection and say nothing.
  server.on("connect", (_req, socket: Socket) => socket.end(NO_PROXY));
  let ended: Promise<void> | undefined;
  server.listen({ port, host });
  await once(server, "listening");
  return {
    port: tcpPortOf(server.address()),
    setCertificate(pair) {
      if (secure === undefined) throw new Error("Expected a TLS server");
      secure.setSecureContext({ ...pair, ...secureOptions });
    },
    [Symbol.asyncDispose]() {
      ended ??= end();
      return ended;
    },
  };

  async function end(): Promise<void> {
    const closed = once(server, "close");
    answers.markLast();
    // Node's own close would destroy kept connections at once, together with the requests that
    // clients have just sent on them.
    TcpServer.prototype.close.call(server);
    const cutIdle = setTimeout(() => server.close(), Math.min(IDLE_GRACE_MS, drainMs));
    const cut = setTimeout(() => {
      for (const socket of sockets) socket.destroy();
    }, drainMs);
    await closed;
    clearTimeout(cut);
    clearTimeout(cutIdle);
    // Only this ends Node's timer for slow requests.
    server.close();
  }
}

/** A handler of requests that can be told to end connections. */
interface EndingHandler {
  readonly handler: RequestListener;
  /** Makes every answer from then on, open ones too, the last on its connection. */
  markLast(): void;
}

function withLastAnswers(next: RequestListener): EndingHandler {
  // The latest of each connection that was not ready at once. A listener on each answer would cost a
  // quarter of a small one, and so would keeping those that are over: they would grow old.
  const open = new Map<Socket, ServerResponse>();
  let closing = false;
  return {
    handler(req, res) {
      if (closing) markLast(res);
      next(req, res);
      const { socket } = req;
      const isKnown = open.has(socket);
      // Behind an open one it waits for its turn, and must be the one after which the connection ends.
      if (res.writableEnded && !isKnown) return;
      if (!isKnown) socket.once("close", () => open.delete(socket));
      open.set(socket, res);
    },
    markLast() {
      closing = true;
      for (const res of open.values()) markLast(res);
    },
  };
}

function markLast(res: ServerResponse): void {
  if (!res.headersSent) res.setHeader("connection", "close");
}

function tcpPortOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === "string") throw new Error("Expected a TCP address");
  return address.port;
}
