import type { IncomingMessage } from "node:http";
import { AppError } from "../../lib/errors.ts";

/** A body too large is read on to its end up to this many times the limit, and dropped. */
const DROPPED_LIMITS = 4;

/**
 * Reads a request's body as text. By hand, since express.json costs a third of the throughput and
 * twice the memory on a review of 10 KB.
 *
 * A body over the limit is read to its end before it is refused: a client that is still sending when
 * the connection closes sees a broken connection in place of the answer.
 *
 * @throws AppError BODY_INVALID: 413 when it is larger than `limitBytes`, 400 when it is cut off.
 */
export function readBody(req: IncomingMessage, limitBytes: number): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let chunks: Buffer[] = [];
  let bytes = 0;
  const tooLarge = (): void => {
    const message = `Cannot read the request: its body is larger than ${limitBytes} bytes`;
    reject(new AppError("BODY_INVALID", 413, message));
  };
  const cutOff = (): void => {
    // Every request closes in the end, and an error is dear to make.
    if (req.complete) return;
    reject(new AppError("BODY_INVALID", 400, "Cannot read the request: its body is cut off"));
  };
  req.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= limitBytes) chunks.push(chunk);
    else chunks = [];
    if (bytes > limitBytes * DROPPED_LIMITS) tooLarge();
  });
  req.on("end", () => {
    if (bytes > limitBytes) tooLarge();
    else resolve(Buffer.concat(chunks, bytes).toString("utf8"));
  });
  req.on("error", cutOff);
  req.on("close", cutOff);
  return promise;
}
