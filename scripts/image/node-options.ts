/**
 * The memory settings that the image gives to Node: what the Dockerfile sets `NODE_OPTIONS` to. They stand
 * nowhere else, so whoever measures the program takes them from here.
 *
 * @param dockerfile Its text.
 * @throws Error when it does not set them once.
 */
export function nodeOptionsOf(dockerfile: string): readonly string[] {
  const [match, second] = [...dockerfile.matchAll(/^ENV NODE_OPTIONS="([^"]*)"$/gm)];
  if (match === undefined || second !== undefined) {
    throw new Error('Expected one line ENV NODE_OPTIONS="…" in the Dockerfile');
  }
  return (match[1] ?? "").split(" ").filter((option) => option !== "");
}
