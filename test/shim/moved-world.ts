import type { Reply } from "../fakes/ask.ts";
import { createMovedClock } from "../fakes/moved-clock.ts";
import { startShimWorld, type ShimWorld, type ShimWorldOptions } from "./shim-world.ts";
import { TTL, TOKEN, TOKEN_PATH } from "./replies.ts";
import { CREDENTIALS } from "./rows/ask.ts";
import { A } from "./rows/pods.ts";

/** What such a world can do. */
export interface Moved {
  readonly world: ShimWorld;
  advance(ms: number): void;
  now(): number;
  ask(): Promise<Reply>;
}

/**
 * A world of which the test moves the clock, on a port of its own: a pod at the address of A whose
 * ServiceAccount has `app-role`.
 */
export async function movedWorld(
  flags: readonly string[] = [],
  { isAttested }: Pick<ShimWorldOptions, "isAttested"> = {},
): Promise<AsyncDisposable & Moved> {
  // TLS goes by the system's clock, and so must the start.
  const clock = createMovedClock(Date.now());
  const world = await startShimWorld({
    clock,
    isAttested,
    monotonicNow: () => clock.now(),
    flags: ["--app-port=8080", ...flags],
  });
  world.serviceAccount("app", await world.role("app-role"));
  world.pod("app", A);
  const headers = async (): Promise<Readonly<Record<string, string>>> => {
    const ttl = { [TTL]: "21600" };
    const question = { from: A, method: "PUT", path: TOKEN_PATH, port: 8080, headers: ttl };
    return { [TOKEN]: (await world.ask(question)).body };
  };
  return {
    world,
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    async ask() {
      return world.ask({ from: A, path: CREDENTIALS, port: 8080, headers: await headers() });
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}
