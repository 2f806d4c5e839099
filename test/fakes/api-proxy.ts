import { request as httpsRequest } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { listen } from "../../lib/http.ts";
import type { KeyPair } from "../../lib/server-certificate.ts";

/** A request on its way to the API server. */
export interface ProxiedRequest {
  readonly method: string;
  /** Path without its query. */
  readonly path: string;
  readonly isWatch: boolean;
}

/** How a request goes wrong on the way. */
export type ProxyFault =
  /** The connection is closed without an answer. */
  { readonly kind: "cut" } | { readonly kind: "status"; readonly status: number };

/**
 * Stands in front of a real API server, as a load balancer of the control plane does: ends TLS with
 * a certificate of its own, passes requests on with their credentials, and fails on demand.
 */
export interface ApiProxy extends AsyncDisposable {
  readonly url: string;
  /** Asked for each request: what goes wrong with it, if anything. */
  faultOf: (request: ProxiedRequest) => ProxyFault | undefined;
  /** Ends all open watches in the middle of a line. */
  cutWatches(): void;
  /** How much later than the API server says it open watches hear of anything, in milliseconds. */
  watchDelayMs: number;
  /** Adds a line to what the API server says in open watches. @returns in how many. */
  addToWatches(line: string): number;
}

const LINE_END = "\n".charCodeAt(0);

/** Starts it on a free port of the loopback interface; nothing goes wrong until it is told. */
export async function startApiProxy({
  url,
  caPem,
  keyPair,
}: {
  /** Of the API server. */
  readonly url: string;
  /** Verifies the API server. */
  readonly caPem: string;
  /** What the proxy serves with, for 127.0.0.1. */
  readonly keyPair: KeyPair;
}): Promise<ApiProxy> {
  const watches = new Set<ServerResponse>();
  /** Those of which the last line has come as a whole. */
  const between = new Set<ServerResponse>();
  const self = {
    faultOf: (_request: ProxiedRequest): ProxyFault | undefined => undefined,
    watchDelayMs: 0,
  };

  /** Later by the delay that was in force when it came, and in the same order. */
  function passWatch(answer: IncomingMessage, res: ServerResponse): void {
    let last = Promise.resolve();
    between.add(res);
    const pass = async (before: Promise<void>, chunk: Buffer, dueMs: number): Promise<void> => {
      await before;
      if (dueMs > performance.now()) await sleep(dueMs - performance.now());
      res.write(chunk);
      if (chunk.at(-1) === LINE_END) between.add(res);
      else between.delete(res);
    };
    answer.on("data", (chunk: Buffer) => {
      last = pass(last, chunk, performance.now() + self.watchDelayMs);
    });
    answer.on("error", () => res.destroy());
    answer.on("end", () => void last.then(() => res.end()));
  }

  function handle(req: IncomingMessage, res: ServerResponse): void {
    const { method = "GET" } = req;
    const { pathname: path, searchParams } = new URL(req.url ?? "/", url);
    const isWatch = searchParams.get("watch") === "true";
    const fault = self.faultOf({ method, path, isWatch });
    if (fault?.kind === "cut") return void req.socket.destroy();
    if (fault?.kind === "status") {
      res.writeHead(fault.status, { "content-type": "application/json" });
      const message = "the proxy was told to fail";
      return void res.end(JSON.stringify({ kind: "Status", code: fault.status, message }));
    }
    if (isWatch) watches.add(res);
    // A connection for each, so that none outlives a stop of the API server.
    const options = { method, headers: req.headers, ca: caPem, agent: false };
    const upstream = httpsRequest(new URL(req.url ?? "/", url), options, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      // The head of a watch without news has to come through as well.
      res.flushHeaders();
      if (isWatch) passWatch(answer, res);
      else pipeline(answer, res).catch(() => res.destroy());
    });
    upstream.on("error", () => res.destroy());
    res.on("close", () => {
      watches.delete(res);
      between.delete(res);
      upstream.destroy();
    });
    req.pipe(upstream);
  }

  const server = await listen(handle, { port: 0, host: "127.0.0.1", drainMs: 0, keyPair });
  return {
    url: `https://127.0.0.1:${server.port}`,
    get faultOf() {
      return self.faultOf;
    },
    set faultOf(faultOf) {
      self.faultOf = faultOf;
    },
    get watchDelayMs() {
      return self.watchDelayMs;
    },
    set watchDelayMs(ms) {
      self.watchDelayMs = ms;
    },
    cutWatches() {
      for (const res of watches) {
        res.write('{"type":"MODIFIED","object":{"metadata":{"na', () => res.destroy());
      }
    },
    addToWatches(line) {
      for (const res of between) res.write(`${line}\n`);
      return between.size;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
