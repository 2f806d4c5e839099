import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Reply } from "../../fakes/ask.ts";
import { until } from "../../fakes/until.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { METADATA_IPV4, METADATA_IPV6, NODE_ADDRESS, ROLE_LIST } from "../shim-world.ts";
import { TTL, TOKEN, TOKEN_PATH, credentialsIn, identityOf, statusOfAll } from "../replies.ts";
import { credentialsAt, CREDENTIALS, get, listsOf } from "./ask.ts";
import { A, A_IPV6, B, V1, TWINS, REUSED, LATE, MOVED, CHANGING, UNKNOWN } from "./pods.ts";

export const callerRows: ConformanceRow[] = [];
const row = rowsInto(callerRows);

row(77, "an address goes from one pod to another, and the watch is late", async (world) => {
  world.pod("moved-1", MOVED);
  const before = await credentialsAt(world, MOVED);
  world.api.holdWatches();
  try {
    world.api.removePod("moved-1");
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
row(81, "a pod of which the watch hears a moment later", async (world) => {
  // The node is read live at most every 5 s, so that this one has to be waited for.
  await world.read(UNKNOWN, ROLE_LIST);
  world.api.holdWatches();
  world.pod("late", LATE);
  const asking = world.read(LATE, CREDENTIALS);
  await sleep(100);
  world.api.releaseWatches();
  assert.equal((await asking).status, 200);
});
row(82, "an address that nobody has", async (world) => {
  const before = listsOf(world);
  const statuses = await statusOfAll([
    world.read(UNKNOWN, ROLE_LIST),
    world.read(UNKNOWN, ROLE_LIST),
  ]);
  assert.deepEqual(statuses, [404, 404]);
  assert.ok(listsOf(world) - before <= 1);
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
row(85, "another role, and none, by the annotation", async (world) => {
  assert.equal((await world.read(CHANGING, `${ROLE_LIST}/`)).body, "app-role");
  world.serviceAccount("changing", "arn:aws:iam::111122223333:role/changed-role");
  const list = async (): Promise<Reply> => world.read(CHANGING, `${ROLE_LIST}/`);
  await until("it has the new role", async () => (await list()).body === "changed-role");
  const document = credentialsIn(await world.read(CHANGING, `${ROLE_LIST}/changed-role`));
  assert.match(await identityOf(world, document), /assumed-role\/changed-role\//);
  world.serviceAccount("changing");
  await until("it has none", async () => (await list()).status === 404);
});
