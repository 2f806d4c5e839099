import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { reasonOf } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { TOKEN_KEY_BYTES } from "./session-token.ts";

const FILE_NAME = "session-token-key";

/**
 * The key of session tokens, from a file of the node that is made when it is missing. SDKs keep a
 * token for six hours and fail once when it no longer holds, so it outlives this process. Two that
 * start at the same time get the same.
 *
 * Where it cannot be kept, a key of this process alone does, and the log says so.
 */
export async function sessionTokenKey(
  stateDir: string,
  log: Pick<Logger, "warn">,
): Promise<Buffer> {
  const file = join(stateDir, FILE_NAME);
  try {
    const found = await readKey(file);
    if (found?.length === TOKEN_KEY_BYTES) return found;
    if (found !== undefined) {
      log.warn({ file, bytes: found.length }, "Replacing a key of session tokens of a wrong size");
      await rm(file, { force: true });
    }
    return await makeKey(stateDir, file);
  } catch (err) {
    const problem = reasonOf(err);
    log.warn({ file, problem }, "Cannot keep the key of session tokens: a restart ends them");
    return randomBytes(TOKEN_KEY_BYTES);
  }
}

async function makeKey(stateDir: string, file: string): Promise<Buffer> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const key = randomBytes(TOKEN_KEY_BYTES);
  const draft = `${file}.${randomBytes(6).toString("hex")}`;
  await writeFile(draft, key, { mode: 0o600, flag: "wx" });
  try {
    // Whole or not at all, and never over one that another process has made.
    await link(draft, file);
    return key;
  } catch (err) {
    const made = isExisting(err) ? await readKey(file) : undefined;
    if (made?.length !== TOKEN_KEY_BYTES) throw err;
    return made;
  } finally {
    await rm(draft, { force: true });
  }
}

async function readKey(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return undefined;
    throw err;
  }
}

function isExisting(err: unknown): boolean {
  return err instanceof Error && "code" in err && err.code === "EEXIST";
}
