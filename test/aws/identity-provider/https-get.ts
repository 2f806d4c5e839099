import { request, type IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";

/** A document as a server gave it. */
export interface Fetched {
  readonly text: string;
  readonly cacheControl: string | undefined;
}

/** Largest answer that is read, in bytes. */
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * Gets a document over an open connection and closes it. Only a plain 200 counts: no redirect is
 * followed, no encoding undone.
 *
 * @throws Error saying what was wrong with the answer.
 */
export async function getOver(socket: TLSSocket, url: URL): Promise<Fetched> {
  const { promise, resolve, reject } = Promise.withResolvers<Fetched>();
  const call = request({
    createConnection: () => socket,
    path: `${url.pathname}${url.search}`,
    headers: { host: url.host, accept: "application/json", connection: "close" },
  });
  call.once("response", (response) => void readDocument(response).then(resolve, reject));
  // Stays on, so that what comes after the answer is no uncaught error.
  call.on("error", reject);
  call.end();
  try {
    return await promise;
  } finally {
    call.destroy();
    socket.destroy();
  }
}

async function readDocument(response: IncomingMessage): Promise<Fetched> {
  if (response.statusCode !== 200) throw new Error(`Got status ${response.statusCode}, wanted 200`);
  const encoding = response.headers["content-encoding"] ?? "identity";
  if (encoding !== "identity") throw new Error(`Got the encoding "${encoding}", wanted none`);
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    if (length > MAX_BODY_BYTES) throw new Error(`Got more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(bytes);
  }
  return {
    text: Buffer.concat(chunks).toString("utf8"),
    cacheControl: response.headers["cache-control"],
  };
}
