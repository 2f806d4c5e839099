import assert from "node:assert/strict";
import { until } from "../../fakes/until.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { ROLE_LIST } from "../shim-world.ts";
import { credentialsIn, statusOfAll } from "../replies.ts";
import { movedWorld } from "../moved-world.ts";
import { CREDENTIALS, get } from "./ask.ts";
import { REFUSED, CROWD, SLOW } from "./pods.ts";
import { within } from "./within.ts";

const EXCHANGE = "AssumeRoleWithWebIdentity";

export const credentialLifeRows: ConformanceRow[] = [];
const row = rowsInto(credentialLifeRows);

row(69, "credentials have 25 minutes left over 6 hours", async (world) => {
  await using moved = await movedWorld([], world);
  const lives: number[] = [];
  for (let minute = 0; minute < 360; minute += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
    const { Expiration } = credentialsIn(await moved.ask());
    lives.push(Date.parse(Expiration) - moved.now());
    moved.advance(60_000);
  }
  const least = Math.min(...lives) / 60_000;
  assert.ok(least >= 25, `${least} minutes`);
  const exchanges = moved.world.exchangesOf("app");
  assert.ok(exchanges <= 16, `${exchanges} calls of STS`);
});
row(
  70,
  "STS is down when credentials are to be renewed: old ones, and a backoff",
  async (world) => {
    await using moved = await movedWorld([], world);
    const first = credentialsIn(await moved.ask());
    moved.world.aws.set({ faults: { serverErrors: 100_000, actions: [EXCHANGE] } });
    // Those that fail so are logged without a subject, but the world has only this pod.
    const tries = (): readonly number[] =>
      moved.world.aws
        .calls()
        .filter(({ action, code }) => action === EXCHANGE && code === "InternalFailure")
        .map(({ time }) => Date.parse(time));
    const endMs = moved.now() + 50 * 60_000;
    let fineSteps = 0;
    while (moved.now() < endMs) {
      // Ten minutes in steps that are less than the first pause, once tries fail.
      const isFine = tries().length > 0 && fineSteps < 600;
      moved.advance(isFine ? 1000 : 60_000);
      if (isFine) fineSteps += 1;
      // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
      assert.equal(credentialsIn(await moved.ask()).AccessKeyId, first.AccessKeyId);
    }
    const pauses = tries()
      .slice(1)
      .map((ms, i) => ms - (tries()[i] ?? 0));
    assert.equal(fineSteps, 600);
    assert.ok(pauses.length >= 10, `${pauses.length} pauses`);
    for (const [i, pauseMs] of pauses.entries()) {
      // From half of 1 s, doubled, to half of 30 s, and up to the whole of it.
      const leastMs = Math.min(30_000, 1000 * 2 ** i) / 2;
      assert.ok(pauseMs >= leastMs, `pause ${i + 1} of ${pauses.join(", ")} ms`);
    }
    assert.ok(new Set(pauses).size > 3, `${pauses.join(", ")} ms`);
    moved.world.aws.set({ faults: {} });
    await until("they are renewed", async () => {
      moved.advance(60_000);
      return credentialsIn(await moved.ask()).AccessKeyId !== first.AccessKeyId;
    });
  },
);
row(71, "STS is down until 60 s before the end", async (world) => {
  await using moved = await movedWorld([], world);
  const { Expiration } = credentialsIn(await moved.ask());
  moved.world.aws.set({ faults: { serverErrors: 100_000 } });
  const leftMs = (): number => Date.parse(Expiration) - moved.now();
  while (leftMs() > -120_000) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
    const { status } = await moved.ask();
    if (leftMs() <= 60_000) assert.equal(status, 503, String(leftMs()));
    else assert.equal(status, 200, String(leftMs()));
    moved.advance(30_000);
  }
});
row(72, "STS refuses: 403 once, and the list still says the name", async (world) => {
  const path = `${ROLE_LIST}/not-yours`;
  const statuses = [(await world.read(REFUSED, path)).status];
  statuses.push(...(await statusOfAll([world.read(REFUSED, path), world.read(REFUSED, path)])));
  assert.deepEqual(statuses, [403, 403, 403]);
  assert.equal((await world.read(REFUSED, `${ROLE_LIST}/`)).body, "not-yours");
  assert.equal(world.exchangesOf("refused"), 1);
  await until("it is an Event", () =>
    world.api.events.some(({ reason }) => reason === "CredentialError"),
  );
});
row(73, "STS never answers: 503 within 1 s, and the call ends", async (world) => {
  const headers = await world.token(SLOW);
  world.aws.set({ faults: { latencyMs: 20_000, actions: [EXCHANGE] } });
  try {
    const reply = await within(1000, () => get(world, CREDENTIALS, headers, SLOW));
    assert.equal(reply.status, 503);
    const ended = (): boolean =>
      world.lines.some(({ pod, code }) => pod === "slow" && code === "Timeout");
    assert.ok(!ended());
    await until("the call has ended", ended);
    // Nor has the stand-in answered by then.
    assert.equal(world.exchangesOf("slow"), 0);
  } finally {
    world.aws.set({ faults: {} });
  }
});
row(74, "100 requests at once for a pod that never asked", async (world) => {
  const headers = await world.token(CROWD);
  const replies = await Promise.all(
    Array.from({ length: 100 }, () => get(world, CREDENTIALS, headers, CROWD)),
  );
  assert.equal(new Set(replies.map((reply) => credentialsIn(reply).AccessKeyId)).size, 1);
  const tokens = "POST /api/v1/namespaces/ns/serviceaccounts/crowd/token";
  assert.equal(world.api.requests.filter((request) => request === tokens).length, 1);
  assert.equal(world.exchangesOf("crowd"), 1);
});
