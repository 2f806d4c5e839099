import { setTimeout as sleep } from "node:timers/promises";

const POLL_MS = 250;
/** What only something broken reaches, however busy the machine is. */
const PATIENCE_MS = 240_000;

/**
 * Looks until there is something to see.
 *
 * @param tell What to say when there never is.
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined>,
  tell: () => Promise<string> = async () => "",
): Promise<T> {
  const endMs = performance.now() + PATIENCE_MS;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (performance.now() > endMs) throw new Error(`Waited in vain for ${what}: ${await tell()}`);
    await sleep(POLL_MS);
  }
}
