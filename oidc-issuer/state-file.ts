import { readFile, rename } from "node:fs/promises";
import { z } from "zod";
import type { Clock } from "../lib/clock.ts";
import { AppError, reasonOf } from "../lib/errors.ts";
import type { Logger } from "../lib/log.ts";
import { writeFileAtomically } from "./atomic-file.ts";
import { formatKeyState, parseKeyState } from "./key-state-text.ts";
import { combineKeyStates, type KeyState } from "./merge.ts";
import type { StateStore } from "./state-store.ts";

const Missing = z.looseObject({ code: z.literal("ENOENT") });

/** Keeps the state in a file. One process at a time may use it. */
export function createStateFile(
  path: string,
  { clock, log }: { readonly clock: Clock; readonly log: Pick<Logger, "error"> },
): StateStore {
  // Before a file is overwritten, what it held is known.
  let isLoaded = false;

  async function load(): Promise<KeyState | undefined> {
    const text = await readIfThere(path);
    const state = text === undefined ? undefined : await parseOrPutAside(text);
    isLoaded = true;
    return state;
  }

  async function parseOrPutAside(text: string): Promise<KeyState | undefined> {
    try {
      return parseKeyState(text);
    } catch (err) {
      if (!(err instanceof AppError)) throw err;
      const stamp = new Date(clock.now()).toISOString().replaceAll(":", "-");
      const aside = `${path}.corrupt-${stamp}`;
      await rename(path, aside);
      log.error({ err, file: path, aside }, "Put the unusable state file aside");
      return undefined;
    }
  }

  return {
    id: `file ${path}`,
    load,
    async save(state) {
      const stored = isLoaded ? undefined : await load();
      const next = stored === undefined ? state : combineKeyStates(state, stored);
      try {
        await writeFileAtomically(path, Buffer.from(formatKeyState(next)));
      } catch (cause) {
        const message = `Cannot write the state file ${JSON.stringify(path)}: ${reasonOf(cause)}`;
        throw new AppError("STORE_INVALID", 500, message, { cause });
      }
      return stored;
    },
  };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    if (Missing.safeParse(cause).success) return undefined;
    const message = `Cannot read the state file ${JSON.stringify(path)}: ${reasonOf(cause)}`;
    throw new AppError("STORE_INVALID", 500, message, { cause });
  }
}
