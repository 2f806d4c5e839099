import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import * as fc from "fast-check";
import { createMovedClock } from "../../test/fakes/moved-clock.ts";
import { ADDRESSES, stepOf, type Step } from "../../test/fakes/node-history.ts";
import { startNodeShim } from "../../test/fakes/node-shim.ts";
import {
  createNodeWorld,
  runningPod,
  type PodConnection,
  type RunningPod,
} from "../../test/fakes/node-world.ts";
import { until } from "../../test/fakes/until.ts";
import type { CallerDecision } from "./caller.ts";

interface Answer {
  /** UID of the pod that really asked. */
  readonly pod: string;
  readonly decision: CallerDecision;
}

/**
 * Plays a history and returns what was answered to pods that were still there: the connection of one
 * that is not has nobody at its other end.
 *
 * @param reportsFirst Whether an address is only freed once the API server knows of the end.
 */
async function play(
  steps: readonly Step[],
  { attests, reportsFirst }: { readonly attests: boolean; readonly reportsFirst: boolean },
): Promise<readonly Answer[]> {
  await using stack = new AsyncDisposableStack();
  const world = createNodeWorld();
  const timers = createMovedClock();
  let jumpedMs = 0;
  // Whoever sets the clock of a machine does not touch its timers.
  const clock = { ...timers, now: () => timers.now() + jumpedMs };
  const waitMs = 2000;
  let shim = startNodeShim(stack, { world, clock, attests, waitMs });
  await shim.pods.whenSynced;
  const answers: Promise<Answer & { readonly isThere: boolean }>[] = [];
  const ended: string[] = [];
  const kept = new Map<string, PodConnection>();
  let count = 0;

  const askAs = (from: RunningPod, address: string, isKept: boolean): void => {
    const key = `${from.uid}/${address}`;
    const connection = (isKept ? kept.get(key) : undefined) ?? world.connect(from, address);
    kept.set(key, connection);
    const { identify } = shim;
    answers.push(
      Promise.resolve(identify(address, connection)).then((decision) => ({
        pod: from.uid,
        decision,
        isThere: world.running.includes(from),
      })),
    );
  };
  const isFree = (address: string): boolean =>
    world.running.every(({ addresses }) => !addresses.includes(address));

  for (const now of steps) {
    const { running } = world;
    const chosen = "pod" in now ? running[now.pod % Math.max(1, running.length)] : undefined;
    if (now.do === "start") {
      const address = ADDRESSES[now.address] ?? "";
      if (isFree(address)) {
        count += 1;
        world.start(runningPod(String(count), address));
        if (now.isReported) world.report(String(count));
      }
    } else if (now.do === "stop" && chosen !== undefined) {
      world.stop(chosen.uid);
      if (reportsFirst) world.report(chosen.uid, count % 2 === 0 ? "finished" : "removed");
      else ended.push(chosen.uid);
    } else if (now.do === "report" && chosen !== undefined) world.report(chosen.uid);
    else if (now.do === "report-end") {
      const uid = ended.splice(now.pod % Math.max(1, ended.length), 1)[0];
      if (uid !== undefined) world.report(uid, now.pod % 2 === 0 ? "finished" : "removed");
    } else if (now.do === "ask" && chosen !== undefined) {
      askAs(chosen, chosen.addresses[0] ?? "", now.isKept);
    } else if (now.do === "steal" && chosen !== undefined) {
      askAs(chosen, ADDRESSES[now.address] ?? "", false);
    } else if (now.do === "deliver") world.api.deliver(now.changes);
    else if (now.do === "advance") clock.advance(now.ms);
    else if (now.do === "jump") jumpedMs += now.ms;
    else if (now.do === "cut") world.api.cut();
    else if (now.do === "away" || now.do === "back") world.api.setReachable(now.do === "back");
    else if (now.do === "restart") {
      await shim.pods[Symbol.asyncDispose]();
      kept.clear();
      shim = startNodeShim(stack, { world, clock, attests, waitMs });
    }
    await nextTurn();
  }
  let open = answers.length;
  for (const answer of answers) void answer.then(() => (open -= 1));
  await until("all are answered", () => {
    clock.advance(100);
    return open === 0;
  });
  return (await Promise.all(answers)).filter(({ isThere }) => isThere);
}

function assertNobodyElse(answers: readonly Answer[]): number {
  for (const { pod: asked, decision } of answers) {
    if (decision.status === "known") assert.equal(decision.caller.podUid, asked);
  }
  return answers.filter(({ decision }) => decision.status === "known").length;
}

describe("whatever happens on the node", () => {
  const runs = { numRuns: 300 };

  it("the kernel's word lets no pod be taken for another, also when addresses are stolen", async () => {
    let known = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(stepOf(true), { minLength: 20, maxLength: 60 }), async (steps) => {
        known += assertNobodyElse(await play(steps, { attests: true, reportsFirst: false }));
      }),
      runs,
    );
    assert.ok(known > runs.numRuns, `${known} were known`);
  });

  it("live reads let no pod be taken for another, if kubelet tells of an end before it frees the address", async () => {
    let known = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(stepOf(false), { minLength: 20, maxLength: 60 }), async (steps) => {
        known += assertNobodyElse(await play(steps, { attests: false, reportsFirst: true }));
      }),
      runs,
    );
    assert.ok(known > runs.numRuns, `${known} were known`);
  });
});
