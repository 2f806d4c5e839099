import { AppError } from "../../lib/errors.ts";
import { startChain, type ChainOptions, type StartCluster } from "./chain.ts";
import type { Narrator } from "./narrator.ts";
import { play, type Outcome } from "./scenario.ts";

/**
 * Starts every part of the chain on loopback, plays the scenario, and takes everything down.
 *
 * @param options.signal Ends the demo before its next step.
 * @throws AppError DEMO_FAILED (or a part's own error) when a step fails.
 */
export async function runDemo(
  startCluster: StartCluster,
  { signal, ...options }: ChainOptions & { readonly signal: AbortSignal },
): Promise<Outcome> {
  const narrator = stoppable(options.narrator, signal);
  await using chain = await startChain(startCluster, { ...options, narrator });
  return await play(chain.parts, narrator);
}

function stoppable(narrator: Narrator, signal: AbortSignal): Narrator {
  return {
    ...narrator,
    step(title, meaning, run) {
      if (signal.aborted) throw new AppError("DEMO_FAILED", 500, "Stopped before the end");
      return narrator.step(title, meaning, run);
    },
  };
}
