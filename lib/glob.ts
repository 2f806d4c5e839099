/**
 * Whether a text matches a glob as a whole: `*` is any run of characters, also none; every other
 * character is itself. Both may be hostile: no glob makes it try all the ways to divide a text.
 */
export function matchesGlob(glob: string, text: string): boolean {
  const star = glob.indexOf("*");
  if (star === -1) return glob === text;
  if (!text.startsWith(glob.slice(0, star))) return false;
  const parts = glob.slice(star + 1).split("*");
  const last = parts.pop() ?? "";
  const end = text.length - last.length;
  if (end < star || !text.endsWith(last)) return false;
  let at = star;
  for (const part of parts) {
    // The first place is as good as any: what comes after a `*` only needs enough text left.
    const found = text.indexOf(part, at);
    if (found === -1 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}
