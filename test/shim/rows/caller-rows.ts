import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reply } from "../../fakes/ask.ts";
import { untilWithin } from "../../fakes/until.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { METADATA_IPV4, METADATA_IPV6, NODE_ADDRESS, ROLE_LIST } from "../shim-world.ts";
import { TTL, TOKEN, TOKEN_PATH, credentialsIn, identityOf, statusOfAll } from "../replies.ts";
import { credentialsAt, CREDENTIALS, get, listsOf } from "./ask.ts";
import { A, A_IPV6, B, V1, TWINS, REUSED, LATE, MOVED, CHANGING, UNKNOWN } from "./pods.ts";
import { within } from "./within.ts";

export const callerRows: ConformanceRow[] = [];
const row = rowsInto(callerRows);

row(77, "an address goes from one pod to another, and the watch is late", async (world) => {
  world.pod("moved-1", MOVED);
  const before = await credentialsAt(world, MOVED);
  world.api.holdWatches();
  try {
    world.removePod("moved-1");
    world.pod("moved-2", MOVED);
    const after = await credentialsAt(world, MOVED);
    assert.notEqual(after.AccessKeyId, before.AccessKeyId);
    assert.match(await identityOf(world, after), /ns\.moved-2$/);
  } finally {
    world.api.releaseWatches();
  }
});
row(78, "two pods with one address", async (world) => {
  assert.equal((await world.read(TWINS, CREDENTIALS)).status, 503);
});
row(79, "a finished pod and one that runs, with one address", async (world) => {
  const document = await credentialsAt(world, REUSED);
  assert.match(await identityOf(world, document), /ns\.after-job$/);
});
row(80, "a pod on the host's network, the node, loopback", async (world) => {
  const replies = [NODE_ADDRESS, "127.0.0.1"].map((from) => world.read(from, CREDENTIALS));
  const loopback = world.ask({
    host: "127.0.0.1",
    from: "127.0.0.1",
    path: `${ROLE_LIST}/`,
    headers: { host: METADATA_IPV4, ...(await world.token("127.0.0.1")) },
  });
  assert.deepEqual(await statusOfAll([...replies, loopback]), [404, 404, 404]);
});
row(81, "a pod of 50 ms, of which the watch hears after 300 ms", async (world) => {
  const headers = await world.token(LATE);
  // The node is read live at most every 5 s, so that this one has to be waited for.
  await world.read(UNKNOWN, ROLE_LIST);
  const before = listsOf(world);
  world.api.holdWatches();
  try {
    world.pod("late", LATE);
    await sleep(50);
    const asking = get(world, CREDENTIALS, headers, LATE);
    await sleep(250);
    const listsBeforeEvent = listsOf(world) - before;
    world.api.releaseWatches();
    assert.equal((await asking).status, 200);
    assert.equal(listsBeforeEvent, 0);
  } finally {
    world.api.releaseWatches();
  }
});
row(82, "an address that nobody has: 404 within 500 ms, a list in 5 s", async (world) => {
  const before = listsOf(world);
  const startMs = performance.now();
  const headers = await world.token(UNKNOWN);
  const read = (): Promise<Reply> => get(world, ROLE_LIST, headers, UNKNOWN);
  while (performance.now() - startMs < 5500) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const [reply, status] = await Promise.all([within(500, read), statusOfAll([read(), read()])]);
    assert.deepEqual([reply.status, ...status], [404, 404, 404]);
  }
  const lists = listsOf(world) - before;
  const most = Math.ceil((performance.now() - startMs) / 5000);
  assert.ok(lists >= 1 && lists <= most, `${lists} lists; expected ${most} at most`);
});
row(83, "IPv4 mapped into IPv6, and a pod's IPv6 address", async (world) => {
  // The server listens on ::, so each IPv4 client so far came as ::ffff:10.1.0.2.
  assert.equal((await world.read(A, `${ROLE_LIST}/`)).status, 200);
  const place = { host: METADATA_IPV6, from: A_IPV6 };
  const ttl = { host: `[${METADATA_IPV6}]`, [TTL]: "60" };
  const token = await world.ask({ ...place, method: "PUT", path: TOKEN_PATH, headers: ttl });
  const headers = { host: `[${METADATA_IPV6}]`, [TOKEN]: token.body };
  const reply = await world.ask({ ...place, path: CREDENTIALS, headers });
  assert.equal(credentialsIn(reply).AccessKeyId, (await credentialsAt(world, A)).AccessKeyId);
});
row(84, "X-Forwarded-For with another pod's address", async (world) => {
  const other = await credentialsAt(world, B);
  for (const from of [A, V1]) {
    const headers = { ...(from === A ? await world.token(A) : {}), "x-forwarded-for": B };
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const { body } = await get(world, CREDENTIALS, headers, from);
    assert.ok(!body.includes(other.AccessKeyId));
  }
});
row(85, "another role, back, and none, by the annotation, within 10 s each", async (world) => {
  const list = async (): Promise<Reply> => world.read(CHANGING, `${ROLE_LIST}/`);
  const soon = untilWithin({ limitMs: 10_000, pauseMs: 20 });
  const old = await credentialsAt(world, CHANGING);
  world.serviceAccount("changing", "arn:aws:iam::111122223333:role/changed-role");
  await soon("it has the new role", async () => (await list()).body === "changed-role");
  const refused = await world.read(CHANGING, CREDENTIALS);
  assert.equal(refused.status, 404);
  assert.ok(!refused.body.includes("AccessKeyId"));
  const changed = credentialsIn(await world.read(CHANGING, `${ROLE_LIST}/changed-role`));
  assert.match(await identityOf(world, changed), /assumed-role\/changed-role\//);
  world.serviceAccount("changing", "arn:aws:iam::111122223333:role/team/app-role");
  await soon("it has the old role", async () => (await list()).body === "app-role");
  // Nothing was kept of the time before.
  assert.notEqual((await credentialsAt(world, CHANGING)).AccessKeyId, old.AccessKeyId);
  world.serviceAccount("changing");
  await soon("it has none", async () => (await list()).status === 404);
  for (const role of ["app-role", "changed-role"]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const { status, body } = await world.read(CHANGING, `${ROLE_LIST}/${role}`);
    assert.equal(status, 404);
    assert.ok(!body.includes("AccessKeyId"));
  }
});
