import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";

/** One request as `node:https` takes it, with the body to send. */
export interface Outgoing {
  readonly url: URL;
  /** Method, headers, agent and TLS settings. */
  readonly options: RequestOptions;
  readonly body: string | undefined;
}

/**
 * Sends a request and resolves with its answer once the head has arrived. `signal` cuts it at any
 * time, also while the body is read.
 *
 * @throws the network error, or the abort reason of `signal`.
 */
export async function send(outgoing: Outgoing, signal: AbortSignal): Promise<IncomingMessage> {
  const first = await attempt(outgoing, signal);
  if (first !== "stale connection") return first;
  const second = await attempt(outgoing, signal);
  if (second !== "stale connection") return second;
  throw new Error("the server closed the connection");
}

function attempt(
  { url, options, body }: Outgoing,
  signal: AbortSignal,
): Promise<IncomingMessage | "stale connection"> {
  const { promise, resolve, reject } = Promise.withResolvers<
    IncomingMessage | "stale connection"
  >();
  if (signal.aborted) {
    reject(signal.reason);
    return promise;
  }
  const request = (url.protocol === "http:" ? httpRequest : httpsRequest)(url, options);
  let response: IncomingMessage | undefined;
  const cut = (): void => {
    response?.destroy(signal.reason);
    request.destroy(signal.reason);
  };
  signal.addEventListener("abort", cut, { once: true });
  request.on("close", () => signal.removeEventListener("abort", cut));
  request.on("response", (message) => {
    response = message;
    resolve(message);
  });
  request.on("error", (err: NodeJS.ErrnoException) => {
    // A kept connection may have been closed by the server just when it was taken for this request.
    // Asking again is safe for what changes nothing (RFC 9110 section 9.2.2).
    const stale = request.reusedSocket && (err.code === "ECONNRESET" || err.code === "EPIPE");
    if (stale && options.method === "GET" && !signal.aborted) resolve("stale connection");
    else reject(err);
  });
  request.end(body);
  return promise;
}

/**
 * Reads an answer to its end.
 *
 * @throws Error when it is larger than `maxBytes` or breaks off.
 */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytesOf(response)) {
    size += chunk.length;
    if (size > maxBytes) throw new Error(`the answer is larger than ${maxBytes} bytes`);
    chunks.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length));
  }
  return Buffer.concat(chunks, size).toString("utf8");
}

/** The chunks of an answer as they come; leaving the loop early closes the connection. */
export async function* bytesOf(
  response: IncomingMessage,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of response) {
    if (!(chunk instanceof Uint8Array)) throw new Error("Expected bytes");
    yield chunk;
  }
}

/** Headers by lower-case name; repeated ones are joined by a comma. */
export function headersOf(response: IncomingMessage): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(response.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(", ") : (value ?? ""),
    ]),
  );
}
