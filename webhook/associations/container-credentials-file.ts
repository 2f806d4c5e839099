import { open } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import { AppError } from "../../lib/errors.ts";
import type { Logger } from "../../lib/log.ts";
import { watchFiles } from "../../lib/watch-files.ts";
import { MAX_CONTENT_LENGTH } from "./associations-text.ts";
import {
  parseContainerCredentials,
  type ContainerCredentialsSet,
} from "./container-credentials.ts";
import { LastGood } from "./last-good.ts";

/** How often the file is read, in milliseconds: a change is seen well within a second. */
export const CONTAINER_CREDENTIALS_POLL_MS = 500;

export interface ContainerCredentialsFile {
  /** The ServiceAccounts of the last good content; undefined when there was none so far. */
  readonly names: ContainerCredentialsSet | undefined;
}

/**
 * Follows the file that names ServiceAccounts for container credentials, until `signal` aborts. A
 * file that is missing or empty names none; one that cannot be read or used changes nothing, and is
 * told. It is read again and again, since a mounted ConfigMap changes by its `..data` link alone.
 */
export async function watchContainerCredentials(
  path: string,
  {
    clock,
    log,
    signal,
    onBad,
    onChange,
  }: {
    readonly clock: Clock;
    readonly log: Pick<Logger, "info">;
    readonly signal: AbortSignal;
    /** Called for each content that cannot be used. */
    readonly onBad: (err: unknown) => void;
    /** Called when another content comes into use. */
    readonly onChange?: (() => void) | undefined;
  },
): Promise<ContainerCredentialsFile> {
  const names = new LastGood<ContainerCredentialsSet>(new Set(), {
    parse: (text) => {
      const parsed = parseContainerCredentials(text);
      log.info({ path, identities: parsed.size }, "Using the container-credentials file");
      onChange?.();
      return parsed;
    },
    onBad,
  });
  const [first] = await watchFiles([path], {
    clock,
    pollMs: CONTAINER_CREDENTIALS_POLL_MS,
    signal,
    read: readSmallFile,
    fallback: [],
    onChange: ([text = ""]) => names.set(text),
    onError: onBad,
  });
  if (first !== undefined) names.set(first);
  return {
    get names() {
      return names.hasGood ? names.value : undefined;
    },
  };
}

async function readSmallFile(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const stat = await file.stat();
    if (!stat.isFile() || stat.size > MAX_CONTENT_LENGTH) {
      const message = `Cannot read ${path}: expected a file of at most ${MAX_CONTENT_LENGTH} bytes`;
      throw new AppError("ASSOCIATION_INVALID", 500, message);
    }
    return await file.readFile("utf8");
  } catch (err) {
    if (err instanceof Error && "code" in err && err.code === "ENOENT") return "";
    throw err;
  }
}
