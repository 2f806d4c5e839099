import { readFile } from "node:fs/promises";

/** The code blocks of a page in `docs/` that are of a language, as they stand there. */
export async function pageBlocks(page: string, language: string): Promise<readonly string[]> {
  const text = await readFile(new URL(`../docs/${page}`, import.meta.url), "utf8");
  const blocks = text.matchAll(/^```(\w+)\n(.*?)^```$/gms);
  return [...blocks].flatMap(([, name, block = ""]) => (name === language ? [block] : []));
}

/** The one block of a page that has some text in it. */
export async function pageBlock(page: string, language: string, part: string): Promise<string> {
  const found = (await pageBlocks(page, language)).filter((block) => block.includes(part));
  const [block] = found;
  if (block === undefined || found.length > 1) {
    throw new Error(`Expected one block with ${part} in docs/${page}, got ${found.length}`);
  }
  return block;
}
