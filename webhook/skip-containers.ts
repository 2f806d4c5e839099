import type { Annotations } from "./pod.ts";

export interface SkippedContainers {
  readonly names: ReadonlySet<string>;
  /** A sentence when the annotation is not used as it was written. */
  readonly warnings: readonly string[];
}

const NONE: SkippedContainers = { names: new Set(), warnings: [] };

/**
 * Reads which containers and initContainers of a pod get nothing, from its annotation
 * `skip-containers`: one CSV record (RFC 4180: commas, quotes), names trimmed, first line only. A
 * list that cannot be read skips nothing, as in AWS's webhook.
 */
export function skippedContainers(pod: Annotations, annotationPrefix: string): SkippedContainers {
  const key = `${annotationPrefix}/skip-containers`;
  const written = pod[key];
  if (written === undefined || written === null) return NONE;
  const record = parseCsvRecord(written);
  if (record === undefined) {
    return {
      ...NONE,
      warnings: [`Pod annotation ${key} skips nothing: expected container names, comma-separated`],
    };
  }
  const warnings =
    record.rest.trim() === "" ? [] : [`Pod annotation ${key} is read up to its first line only`];
  return { names: new Set(record.fields.filter((name) => name !== "")), warnings };
}

// Each matches at `lastIndex`. White space around a name is dropped, a line break ends the record.
const QUOTED = /[^\S\r\n]*"((?:[^"]|"")*)"[^\S\r\n]*(?=,|\r?\n|\r?$)/y;
const BARE = /[^",\r\n]*(?=,|\r?\n|\r?$)/y;

/**
 * The first record that is not an empty line, and the text after it; undefined when the text has
 * none or quotes wrongly.
 */
function parseCsvRecord(
  text: string,
): { readonly fields: readonly string[]; readonly rest: string } | undefined {
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
