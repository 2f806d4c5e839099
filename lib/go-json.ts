import { z } from "zod";

const Fields = z.record(z.string(), z.unknown());

/**
 * Reads JSON without quoting it: the parser's own message may show secrets.
 *
 * @throws SyntaxError that says where it broke off, as far as that is known.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const [place = ""] = / at position \d+(?: \(line \d+ column \d+\))?$/.exec(String(cause)) ?? [];
    throw new SyntaxError(`no JSON${place}`, { cause });
  }
}

/**
 * The fields of a JSON object by their lower-case names, as Go's `encoding/json` finds them: it
 * ignores case, and the last of several is used. Undefined when the value is no object.
 */
export function goFieldsOf(value: unknown): ReadonlyMap<string, unknown> | undefined {
  const fields = Fields.safeParse(value);
  if (!fields.success) return undefined;
  return new Map(Object.entries(fields.data).map(([name, field]) => [name.toLowerCase(), field]));
}
