/**
 * Whether a text matches a glob as a whole: `*` is any run of characters, also none; every other
 * character is itself. Takes time in proportion to the product of the lengths, whatever the glob.
 */
export function matchesGlob(glob: string, text: string): boolean {
  let at = 0;
  let globAt = 0;
  /** Where to go on when the run that the last `*` stands for must be longer. */
  let retry: { readonly at: number; readonly globAt: number } | undefined;
  while (at < text.length) {
    if (glob[globAt] === "*") {
      retry = { at, globAt };
      globAt += 1;
    } else if (glob[globAt] === text[at]) {
      globAt += 1;
      at += 1;
    } else if (retry === undefined) {
      return false;
    } else {
      retry = { at: retry.at + 1, globAt: retry.globAt };
      at = retry.at;
      globAt = retry.globAt + 1;
    }
  }
  return /^\**$/.test(glob.slice(globAt));
}
