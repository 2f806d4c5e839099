import { Agent as HttpAgent, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, type RequestOptions } from "node:https";
import { AppError, reasonOf } from "../errors.ts";
import { deadline, orAbort } from "./deadline.ts";
import { bytesOf, headersOf, readBody, send } from "./exchange.ts";
import { linesOf } from "./lines.ts";

/** Another API server of the same cluster. */
export interface ApiServer {
  /** Such as `https://10.0.0.1:6443`. */
  readonly url: string;
  /** The name its certificate must be for, when that is not the one in the URL. */
  readonly serverName?: string | undefined;
}

export interface KubeRequest {
  /** GET when absent. */
  readonly method?: string | undefined;
  /** Path and query below the server's URL, encoded; starts with a slash. */
  readonly path: string;
  /** `application/json` when absent. */
  readonly accept?: string | undefined;
  /** `application/json` when absent. */
  readonly contentType?: string | undefined;
  /** A string is sent as it is, anything else as JSON. */
  readonly body?: unknown;
  /** Bounds everything: credentials, connection, head and body. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** The server of the configuration when absent. */
  readonly server?: ApiServer | undefined;
}

export interface KubeAnswer {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed when the answer says it is JSON, its text else. */
  readonly body: unknown;
}

export interface KubeStreamRequest {
  readonly path: string;
  /** `application/json` when absent. */
  readonly accept?: string | undefined;
  readonly signal: AbortSignal;
  /** Longest wait for the head of the answer. */
  readonly headTimeoutMs: number;
  /** Longest silence within the answer; unbounded when absent. */
  readonly idleTimeoutMs?: number | undefined;
}

export interface KubeStream {
  readonly status: number;
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Ends with the answer; throws AppError KUBERNETES_UNAVAILABLE when it breaks off. */
  readonly lines: AsyncIterable<string>;
}

/**
 * HTTP to the API servers of one cluster. Every failure to get an answer is an AppError
 * KUBERNETES_UNAVAILABLE that names method, URL (without its query) and reason; every answer,
 * whatever its status, is returned.
 */
export interface Transport {
  request(request: KubeRequest): Promise<KubeAnswer>;
  /** A GET whose answer is read line by line, as a watch is. Aborting `signal` ends it any time. */
  stream(request: KubeStreamRequest): Promise<KubeStream>;
}

/** Where requests go, and how to be let in there. */
export interface Target {
  /** The server's URL, which may have a path. */
  readonly url: string;
  /** Adds credentials, TLS settings and, behind a proxy, an agent. */
  authorize(options: RequestOptions): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;
// etcd refuses objects beyond 1.5 MiB, and an API server requests beyond 3 MiB.
const MAX_LINE_BYTES = 8 * 1024 * 1024;
const JSON_TYPE = "application/json";

/** Makes the transport; nothing is sent yet. */
export function createTransport(targetOf: (server: ApiServer | undefined) => Target): Transport {
  // Its idle timeout is below the API server's own (90 s), so that the client closes first; TCP
  // probes find out that a peer is gone while a watch is silent.
  const settings = { keepAlive: true, keepAliveMsecs: 30_000, timeout: 60_000 };
  const agents = { http: new HttpAgent(settings), https: new HttpsAgent(settings) };

  async function open(
    { target, method, path, headers, body }: Call,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    const url = new URL(target.url.replace(/\/$/, "") + path);
    const options: RequestOptions = {
      agent: url.protocol === "http:" ? agents.http : agents.https,
      headers: { "user-agent": "irsa-anywhere", ...headers },
    };
    await orAbort(target.authorize(options), signal);
    return send({ url, options: { ...options, method }, body }, signal);
  }

  return {
    async request(request) {
      const call = callOf(request, targetOf(request.server));
      using limit = deadline(request.timeoutMs, request.signal);
      try {
        const response = await open(call, limit.signal);
        const text = await readBody(response, MAX_BODY_BYTES);
        return {
          status: response.statusCode ?? 0,
          headers: headersOf(response),
          body: isJson(response) ? parsedBody(text) : text,
        };
      } catch (cause) {
        throw unavailable(call, limit.signal.aborted ? limit.signal.reason : cause);
      }
    },
    async stream({ signal, headTimeoutMs, idleTimeoutMs, ...request }) {
      const call = callOf(request, targetOf(undefined));
      const head = deadline(headTimeoutMs, signal);
      try {
        const response = await open(call, head.signal);
        head.stopTimer();
        if (idleTimeoutMs !== undefined) {
          response.setTimeout(idleTimeoutMs, () => {
            response.destroy(new Error(`silent for ${idleTimeoutMs} ms`));
          });
        }
        response.on("close", () => head[Symbol.dispose]());
        return {
          status: response.statusCode ?? 0,
          headers: headersOf(response),
          lines: guarded(call, linesOf(bytesOf(response), MAX_LINE_BYTES), head.signal),
        };
      } catch (cause) {
        head[Symbol.dispose]();
        throw unavailable(call, head.signal.aborted ? head.signal.reason : cause);
      }
    },
  };
}

interface Call {
  readonly target: Target;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

function callOf(
  {
    method = "GET",
    path,
    accept = JSON_TYPE,
    contentType = JSON_TYPE,
    body,
  }: Pick<KubeRequest, "method" | "path" | "accept" | "contentType" | "body">,
  target: Target,
): Call {
  return {
    target,
    method,
    path,
    headers: body === undefined ? { accept } : { accept, "content-type": contentType },
    body: body === undefined || typeof body === "string" ? body : JSON.stringify(body),
  };
}

async function* guarded(
  call: Call,
  lines: AsyncIterable<string>,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  try {
    yield* lines;
  } catch (cause) {
    throw unavailable(call, signal.aborted ? signal.reason : cause);
  }
}

function isJson(response: IncomingMessage): boolean {
  // `application/json`, and such as `application/jwk-set+json`.
  return /^application\/(?:[\w.-]+\+)?json\b/i.test(response.headers["content-type"] ?? "");
}

function parsedBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own error quotes the text, which may be a token: it goes no further.
    throw new Error("the answer is cut off or is not JSON");
  }
}

function unavailable({ method, target, path }: Call, cause: unknown): AppError {
  const url = `${target.url.replace(/\/$/, "")}${path.replace(/\?.*/s, "")}`;
  const message = `Cannot ${method} ${url}: ${networkReason(cause)}`;
  return new AppError("KUBERNETES_UNAVAILABLE", 503, message, { cause });
}

// A name with several addresses fails with one error for each, and no message of its own.
function networkReason(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(networkReason).join("; ");
  return reasonOf(cause);
}
