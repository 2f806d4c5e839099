import type { IncomingMessage } from "node:http";
import type { WireRequest } from "./protocol/sigv4.ts";

/** Reads a request with its body; undefined when the body is larger than `maxBodyBytes`. */
export async function readWireRequest(
  req: IncomingMessage,
  maxBodyBytes: number,
): Promise<WireRequest | undefined> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of req) {
    const bytes = Buffer.from(chunk);
    length += bytes.length;
    // The rest is read all the same: a client that is still sending would not see the answer.
    if (length <= maxBodyBytes) chunks.push(bytes);
  }
  if (length > maxBodyBytes) return undefined;
  const [path = "/", query = ""] = splitQuery(req.url ?? "/");
  return {
    method: req.method ?? "GET",
    path,
    query,
    headers: headersOf(req),
    body: Buffer.concat(chunks),
  };
}

// Signature Version 4 signs the values of a repeated header joined by commas.
function headersOf({ rawHeaders }: IncomingMessage): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const [name, value] = [(rawHeaders[i] ?? "").toLowerCase(), rawHeaders[i + 1] ?? ""];
    const before = headers.get(name);
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  return headers;
}

function splitQuery(url: string): readonly string[] {
  const at = url.indexOf("?");
  return at < 0 ? [url] : [url.slice(0, at), url.slice(at + 1)];
}
