/**
 * Reads the path of a request target into its parts: `/latest//meta-data/iam/` is `latest`,
 * `meta-data`, `iam`. Slashes may be doubled and may end the path, as real clients write them (boto2,
 * fluent-bit), and the query is dropped, as EC2 does.
 *
 * Parts are decoded once and never again. What could be read in two ways is refused: an encoded
 * slash, a backslash, a NUL, a dot segment, a broken escape.
 *
 * @returns undefined for a target that is refused, or is no path at all (`*`, an absolute URL).
 */
export function parseRequestPath(target: string): readonly string[] | undefined {
  const [path = ""] = target.split("?", 1);
  if (!path.startsWith("/")) return undefined;
  const segments: string[] = [];
  for (const written of path.split("/")) {
    if (written === "") continue;
    const segment = decoded(written);
    if (segment === undefined || segment === "." || segment === "..") return undefined;
    if (AMBIGUOUS.test(segment)) return undefined;
    segments.push(segment);
  }
  return segments;
}

// oxlint-disable-next-line eslint/no-control-regex -- a NUL ends a path for programs written in C
const AMBIGUOUS = /[/\\\0]/;

function decoded(segment: string): string | undefined {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
