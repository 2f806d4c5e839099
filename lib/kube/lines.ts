const NEWLINE = 0x0a;

/**
 * The lines of a byte stream, without their line ends and without empty ones. It splits bytes, not
 * text, so a character cut by a chunk border comes out whole. An unfinished last line is given too:
 * whether it makes sense is for the reader to find out.
 *
 * @throws Error when a line grows beyond `maxLineBytes`.
 */
export async function* linesOf(
  chunks: AsyncIterable<Uint8Array>,
  maxLineBytes: number,
): AsyncGenerator<string, void, undefined> {
  let parts: Uint8Array[] = [];
  let size = 0;
  const take = (part: Uint8Array): void => {
    size += part.length;
    if (size > maxLineBytes) throw new Error(`a line is longer than ${maxLineBytes} bytes`);
    parts.push(part);
  };
  const line = (): string => {
    const text = Buffer.concat(parts, size).toString("utf8");
    parts = [];
    size = 0;
    return text.endsWith("\r") ? text.slice(0, -1) : text;
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      take(chunk.subarray(start, end));
      start = end + 1;
      const text = line();
      if (text !== "") yield text;
    }
    if (start < chunk.length) take(chunk.subarray(start));
  }
  const rest = line();
  if (rest !== "") yield rest;
}
