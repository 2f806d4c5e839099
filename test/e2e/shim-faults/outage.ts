import { monitorEventLoopDelay } from "node:perf_hooks";
import { z } from "zod";
import type { JumpingClock } from "../../fakes/jumping-clock.ts";
import { until } from "../../fakes/until.ts";
import type { ShimWorld } from "../../shim/shim-world.ts";
import { CREDENTIALS, STS_AWAY } from "./faults.ts";
import { findWithAll, type BySdk, type Found } from "./sdks.ts";

const MINUTE_MS = 60_000;
const READS_A_MINUTE = 4;
const Given = z.object({ AccessKeyId: z.string(), Expiration: z.string() });

/** What pods got through ten minutes without STS, and what it cost the process. */
export interface Outage {
  /** Statuses of all answers to pods that had credentials, some a minute for ten minutes. */
  readonly warm: readonly (readonly number[])[];
  /** The same minute by minute, until there are none any more. */
  readonly later: readonly (readonly number[])[];
  readonly shortestLifeSeconds: number;
  readonly answers: number;
  readonly exchanges: number;
  readonly heapGrowthMb: number;
  readonly delayP99Ms: number;
  /** SDKs of a pod that had credentials before, ten minutes into it. */
  readonly sdks: BySdk<Found>;
  readonly statusAfter: number;
  readonly hasNewKey: boolean;
}

/** Ten minutes without STS, half an hour after the pods got their credentials. */
export async function outage(
  world: ShimWorld,
  clock: JumpingClock,
  pods: readonly string[],
): Promise<Outage> {
  const keys = new Set<string>();
  const sessions = await Promise.all(pods.map((pod) => world.token(pod)));
  let shortestLifeSeconds = Infinity;
  let answers = 0;
  const readAll = async (): Promise<readonly number[]> => {
    const replies = await Promise.all(
      pods.map((from, i) => world.ask({ from, path: CREDENTIALS, headers: sessions[i] })),
    );
    answers += replies.length;
    for (const { status, body } of replies) {
      if (status !== 200) continue;
      const { AccessKeyId, Expiration } = Given.parse(JSON.parse(body));
      keys.add(AccessKeyId);
      const lifeSeconds = (Date.parse(Expiration) - clock.now()) / 1000;
      shortestLifeSeconds = Math.min(shortestLifeSeconds, lifeSeconds);
    }
    return replies.map(({ status }) => status);
  };
  await until("all have some", async () => (await readAll()).every((status) => status === 200));
  // Before anything is renewed.
  clock.jump(20 * MINUTE_MS);
  const end = await STS_AWAY(world);
  const exchangesBefore = exchangesOf(world);
  globalThis.gc?.();
  const heapBefore = process.memoryUsage().heapUsed;
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const warm: (readonly number[])[] = [];
  for (let minute = 0; minute < 10; minute += 1) {
    for (let time = 0; time < READS_A_MINUTE; time += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
      warm.push(await readAll());
      clock.jump(MINUTE_MS / READS_A_MINUTE);
    }
  }
  delay.disable();
  globalThis.gc?.();
  const heapGrowthMb = (process.memoryUsage().heapUsed - heapBefore) / 1e6;
  const exchanges = exchangesOf(world) - exchangesBefore;
  const sdks = await findWithAll(world, () => pods[0] ?? "");
  const { length } = warm;
  // Until the last of what they have has ended.
  for (let minute = 0; warm.at(-1)?.includes(200) === true && minute < 60; minute += 1) {
    clock.jump(MINUTE_MS);
    // oxlint-disable-next-line eslint/no-await-in-loop -- in the order of time
    warm.push(await readAll());
  }
  const old = new Set(keys);
  await end();
  clock.jump(MINUTE_MS);
  let statusAfter = 0;
  await until("new credentials are there", async () => {
    const statuses = await readAll();
    statusAfter = statuses[0] ?? 0;
    clock.jump(1000);
    return keys.size >= old.size + pods.length;
  });
  return {
    warm: warm.slice(0, length),
    later: warm.slice(length),
    shortestLifeSeconds,
    answers,
    exchanges,
    heapGrowthMb,
    delayP99Ms: delay.percentile(99) / 1e6,
    sdks,
    statusAfter,
    hasNewKey: keys.size >= old.size + pods.length,
  };
}

function exchangesOf({ aws }: ShimWorld): number {
  return aws.calls().filter(({ action }) => action === "AssumeRoleWithWebIdentity").length;
}
