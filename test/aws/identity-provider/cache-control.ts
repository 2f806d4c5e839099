/**
 * How long an answer may be used again by its `Cache-Control` (RFC 9111 section 5.2.2), in seconds;
 * 0 without one.
 */
export function freshSeconds(cacheControl: string | undefined): number {
  const directives = (cacheControl ?? "").split(",").map((part) => part.trim().toLowerCase());
  if (directives.some((name) => name === "no-cache" || name === "no-store")) return 0;
  const maxAge = directives.map((text) => /^max-age="?(\d{1,9})"?$/.exec(text)?.[1]);
  return Number(maxAge.find((digits) => digits !== undefined) ?? 0);
}
