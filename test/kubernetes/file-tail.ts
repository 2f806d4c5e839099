import { readFile } from "node:fs/promises";

const TAIL_LINES = 25;

/** The last lines of a text file, for an error message; a remark when it cannot be read. */
export async function fileTail(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((err: unknown) => `(no log: ${String(err)})`);
  return text.trimEnd().split("\n").slice(-TAIL_LINES).join("\n");
}
