import { z } from "zod";

const Command = z.array(z.string());

/** What the image sets for Node, most of it about memory. */
export interface ImageSettings {
  readonly env: Readonly<Record<string, string>>;
  /** Flags of Node itself, before the program. */
  readonly nodeFlags: readonly string[];
}

/**
 * The settings that the Dockerfile gives to its programs. They stand nowhere else, so whoever measures
 * a program takes them from here.
 *
 * @param dockerfile Its text.
 * @throws Error when it sets no environment, or not in the form `ENV NAME="value"`, one a line, or has
 *   no `ENTRYPOINT ["node", "--flag", "program"]` on one line.
 */
export function imageSettingsOf(dockerfile: string): ImageSettings {
  const lines = dockerfile.split("\n");
  const entries = lines.filter((line) => line.startsWith("ENV ")).map(entryOf);
  if (entries.length === 0) throw new Error('Expected lines ENV NAME="value" in the Dockerfile');
  const [, command] = /^ENTRYPOINT (\[".*"\])$/m.exec(dockerfile) ?? [];
  if (command === undefined) throw new Error('Expected ENTRYPOINT ["node", ...] in the Dockerfile');
  const nodeFlags = Command.parse(JSON.parse(command)).slice(1, -1);
  return { env: Object.fromEntries(entries), nodeFlags };
}

function entryOf(line: string): readonly [string, string] {
  const [, name, value] = /^ENV (\w+)="([^"\\$]*)"$/.exec(line) ?? [];
  if (name === undefined || value === undefined) throw new Error(`Cannot read ${line}`);
  return [name, value];
}
