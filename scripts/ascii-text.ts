const OTHERS = /[^\0-\x7f]/g;
/** One with a backslash of its own before it. */
const ESCAPED_OTHER = /(?<!\\)(?:\\\\)*(\\[^\0-\x7f])/;

/**
 * Writes JavaScript in ASCII, with escapes for all other characters: a program's text stays in memory
 * as long as it runs, and a single character that V8 cannot hold in one byte doubles all of its file.
 *
 * Texts, templates and regular expressions match the same as before. What looks at how they are
 * written, such as `String.raw`, sees the escapes.
 *
 * @throws Error when a character has a backslash before it, which would end up before the escape.
 */
export function asciiText(code: string): string {
  const escaped = ESCAPED_OTHER.exec(code)?.[1];
  if (escaped !== undefined) throw new Error(`Cannot write "${escaped}" in ASCII`);
  return code.replaceAll(
    OTHERS,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
