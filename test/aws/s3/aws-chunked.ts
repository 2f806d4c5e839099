/** A body that was sent in chunks of the `aws-chunked` encoding, put together again. */
export interface Unchunked {
  readonly body: Buffer;
  /** By name in lower case. */
  readonly trailers: ReadonlyMap<string, string>;
}

const CRLF = "\r\n";

/**
 * Undoes `aws-chunked` (Amazon S3 API reference, "Signature calculations … using trailing headers").
 * Undefined when the body is cut off or is none.
 */
export function decodeAwsChunked(encoded: Buffer): Unchunked | undefined {
  const chunks: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = encoded.indexOf(CRLF, at);
    const size = /^([0-9a-fA-F]{1,8})(;.*)?$/.exec(encoded.toString("latin1", at, lineEnd))?.[1];
    if (lineEnd < 0 || size === undefined) return undefined;
    const start = lineEnd + CRLF.length;
    const end = start + Number.parseInt(size, 16);
    if (end === start) {
      return { body: Buffer.concat(chunks), trailers: parseTrailers(encoded.subarray(start)) };
    }
    if (encoded.toString("latin1", end, end + CRLF.length) !== CRLF) return undefined;
    chunks.push(encoded.subarray(start, end));
    at = end + CRLF.length;
  }
}

function parseTrailers(text: Buffer): ReadonlyMap<string, string> {
  const lines = text.toString("latin1").split(CRLF);
  return new Map(
    lines
      .map((line) => /^([^:]+):(.*)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name = "", value = ""]) => [name.trim().toLowerCase(), value.trim()]),
  );
}
