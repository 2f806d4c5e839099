import type { IncomingMessage } from "node:http";

/**
 * Whether the body of a request is no longer than so many bytes. What the body says is of no interest,
 * and a longer one is not read to its end.
 */
export function isBodyWithin(req: IncomingMessage, limitBytes: number): boolean | Promise<boolean> {
  if (req.headers["transfer-encoding"] === undefined) {
    return Number(req.headers["content-length"] ?? 0) <= limitBytes;
  }
  return isStreamWithin(req, limitBytes);
}

async function isStreamWithin(req: IncomingMessage, limitBytes: number): Promise<boolean> {
  let bytes = 0;
  return new Promise((resolve) => {
    req.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= limitBytes) return;
      req.pause();
      resolve(false);
    });
    req.on("end", () => resolve(true));
    // Who has gone meanwhile will not see the answer.
    req.on("error", () => resolve(false));
  });
}
