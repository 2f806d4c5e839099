export interface CsvRecord {
  /** Trimmed, also inside quotes. */
  readonly fields: readonly string[];
  /** The text after it. */
  readonly rest: string;
}

// Each matches at `lastIndex`. White space around a name is dropped, a line break ends the record.
const QUOTED = /[^\S\r\n]*"((?:[^"]|"")*)"[^\S\r\n]*(?=,|\r?\n|\r?$)/y;
const BARE = /[^",\r\n]*(?=,|\r?\n|\r?$)/y;

/** More than Kubernetes takes as annotations of one object; it checks that after mutation only. */
const MAX_LENGTH = 262_144;

/**
 * The first CSV record (RFC 4180: commas, quotes) that is not an empty line, and the text after it;
 * undefined when the text has none, quotes wrongly, or is too long for an annotation.
 */
export function parseCsvRecord(text: string): CsvRecord | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const body = text.replace(/^(?:\r?\n)+/, "");
  if (body.trim() === "") return undefined;
  const fields: string[] = [];
  for (let at = 0; ; at += 1) {
    const quoted = matchAt(QUOTED, body, at);
    const field = quoted ?? matchAt(BARE, body, at);
    if (field === undefined) return undefined;
    fields.push((quoted === undefined ? field[0] : field[1].replaceAll('""', '"')).trim());
    at += field[0].length;
    if (body[at] !== ",") return { fields, rest: body.slice(at) };
  }
}

function matchAt(pattern: RegExp, text: string, at: number): readonly [string, string] | undefined {
  pattern.lastIndex = at;
  const match = pattern.exec(text);
  return match === null ? undefined : [match[0], match[1] ?? ""];
}
