/** What does not fit into one byte of V8's. */
const WIDE = /[^\0-\xff]/g;
const ESCAPED_WIDE = /\\[^\0-\xff]/;

/**
 * Writes JavaScript that says the same without a character that needs two bytes: a program's text stays
 * in memory as long as it runs, and a single such character doubles all of its file.
 *
 * @throws Error when a character has a backslash before it, where its escape would mean something else.
 */
export function oneByteText(code: string): string {
  const [escaped] = ESCAPED_WIDE.exec(code) ?? [];
  if (escaped !== undefined) throw new Error(`Cannot write "${escaped}" in one byte`);
  return code.replaceAll(WIDE, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
