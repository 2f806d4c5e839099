/**
 * The environment that the image gives to its programs, which holds the settings of their memory: what
 * the `ENV` lines of the Dockerfile say. They stand nowhere else, so whoever measures a program takes
 * them from here.
 *
 * @param dockerfile Its text.
 * @throws Error when it sets none, or not in the form `ENV NAME="value"`, one a line.
 */
export function imageEnvironmentOf(dockerfile: string): Readonly<Record<string, string>> {
  const lines = dockerfile.split("\n").filter((line) => line.startsWith("ENV "));
  const entries = lines.map((line) => {
    const [, name, value] = /^ENV (\w+)="([^"\\$]*)"$/.exec(line) ?? [];
    if (name === undefined || value === undefined) throw new Error(`Cannot read ${line}`);
    return [name, value] as const;
  });
  if (entries.length === 0) throw new Error('Expected lines ENV NAME="value" in the Dockerfile');
  return Object.fromEntries(entries);
}
