import type { IdentifyCaller } from "../../metadata-shim/caller/caller.ts";
import { createIdentifyCaller } from "../../metadata-shim/caller/identify-caller.ts";
import { podKeeper, type KnownPod } from "../../metadata-shim/caller/known-pod.ts";
import { LivePods } from "../../metadata-shim/caller/live-pods.ts";
import { followNodePods, type NodePods } from "../../metadata-shim/caller/node-pods.ts";
import { createCollectedLog } from "./collected-log.ts";
import { createMovedClock, type MovedClock } from "./moved-clock.ts";
import { createNodeWorld, METADATA, NODE, type NodeWorld } from "./node-world.ts";

/** How long it waits for what it does not know yet. */
export const WAIT_MS = 400;

/** What tells the pods of a node apart, and what it has told of them. */
export interface NodeShim {
  readonly world: NodeWorld;
  readonly clock: MovedClock;
  readonly pods: NodePods;
  readonly identify: IdentifyCaller;
  readonly foreign: readonly KnownPod[];
  readonly ambiguous: readonly string[];
  readonly gone: readonly string[];
}

/** Follows the pods of the world; a stack disposes of it. */
export function startNodeShim(
  stack: AsyncDisposableStack,
  {
    world = createNodeWorld(),
    clock = createMovedClock(),
    attests = true,
    waitMs = WAIT_MS,
  }: {
    readonly world?: NodeWorld;
    readonly clock?: MovedClock;
    readonly attests?: boolean;
    readonly waitMs?: number;
  } = {},
): NodeShim {
  const { connection } = world.api;
  const { log } = createCollectedLog();
  const keep = podKeeper({ nodeName: NODE, keys: [] });
  const gone: string[] = [];
  const foreign: KnownPod[] = [];
  const ambiguous: string[] = [];
  const pods = stack.use(
    followNodePods({
      connection,
      nodeName: NODE,
      keep,
      clock,
      random: () => 0.5,
      log,
      onGone: (uid) => gone.push(uid),
    }),
  );
  const identify = createIdentifyCaller({
    pods,
    livePods: new LivePods({ connection, nodeName: NODE, keep, timeoutMs: 5000 }),
    attestor: attests ? world.attestor : undefined,
    endpoints: [METADATA],
    waitMs,
    clock,
    onForeign: (shownPod) => foreign.push(shownPod),
    onAmbiguous: (all, address) =>
      ambiguous.push(`${address}: ${all.map(({ uid }) => uid).join(" ")}`),
  });
  return { world, clock, pods, identify, foreign, ambiguous, gone };
}
