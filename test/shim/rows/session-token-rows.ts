import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { askRaw } from "../../fakes/ask.ts";
import { until } from "../../fakes/until.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { METADATA_IPV4, type ShimWorld } from "../shim-world.ts";
import { TTL, TOKEN, TOKEN_PATH, statusOfAll } from "../replies.ts";
import { CREDENTIALS, put, get } from "./ask.ts";
import { A, B, V1, HUNG, PLAIN } from "./pods.ts";
import { within } from "./within.ts";

export const sessionTokenRows: ConformanceRow[] = [];
const row = rowsInto(sessionTokenRows);

row(1, "PUT token for 21600 s", async (world) => {
  const reply = await put(world, { [TTL]: "21600" });
  assert.equal(reply.status, 200);
  assert.match(reply.body, /^[\w=-]{1,256}$/);
  assert.equal(reply.headers[TTL], "21600");
  assert.equal(reply.headers["content-type"], "text/plain");
  assert.equal(reply.headers["content-length"], String(reply.body.length));
});
row(2, "PUT token for 1 s", async (world) => {
  const reply = await put(world, { [TTL]: "1" });
  assert.deepEqual([reply.status, reply.headers[TTL]], [200, "1"]);
});
row(3, "PUT token for 300 s and 21595 s, echoed", async (world) => {
  for (const ttl of ["300", "21595"]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const reply = await put(world, { [TTL]: ttl });
    assert.deepEqual([reply.status, reply.headers[TTL]], [200, ttl]);
  }
});
const BAD_TTLS: readonly (readonly [number, string, readonly (string | undefined)[]])[] = [
  [4, "without the header", [undefined]],
  [5, "empty", [""]],
  [6, "0", ["0"]],
  [7, "21601", ["21601"]],
  [8, "-1", ["-1"]],
  [9, "no whole number", ["abc", "1.5", "1e3", "0x10", "60,60"]],
  [10, "no number that fits", ["99999999999999999999"]],
];
for (const [number, title, values] of BAD_TTLS) {
  row(number, `PUT token with a TTL that is bad: ${title}`, async (world) => {
    const replies = values.map((ttl) => put(world, ttl === undefined ? {} : { [TTL]: ttl }));
    assert.deepEqual(
      await statusOfAll(replies),
      values.map(() => 400),
    );
  });
}
row(11, "PUT token, the header's name in any case", async (world) => {
  const names = ["X-AWS-EC2-METADATA-TOKEN-TTL-SECONDS", "X-aws-ec2-Metadata-Token-Ttl-Seconds"];
  const replies = names.map((name) => put(world, { [name]: "60" }));
  assert.deepEqual(await statusOfAll(replies), [200, 200]);
});
row(12, "PUT token with two TTL headers", async (world) => {
  assert.equal((await put(world, { [TTL]: ["60", "60"] })).status, 400);
});
row(13, "PUT token with X-Forwarded-For", async (world) => {
  const reply = await put(world, { [TTL]: "60", "x-forwarded-for": "1.2.3.4" });
  assert.deepEqual([reply.status, reply.body], [403, ""]);
});
row(14, "PUT token with an empty X-Forwarded-For", async (world) => {
  assert.equal((await put(world, { [TTL]: "60", "x-forwarded-for": "" })).status, 403);
});
row(15, "GET, POST, DELETE, HEAD of the token's path", async (world) => {
  for (const method of ["GET", "POST", "DELETE", "HEAD"]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const reply = await world.ask({ from: A, method, path: TOKEN_PATH });
    const { status, body, headers } = reply;
    assert.deepEqual([status, body, headers.allow], [405, "", "OPTIONS, PUT"], method);
  }
});
row(16, "PUT of the token's path under a date", async (world) => {
  const path = "/2021-03-23/api/token";
  assert.equal((await put(world, { [TTL]: "60" }, { path })).status, 403);
});
row(17, "PUT /latest/api/token/", async (world) => {
  assert.equal((await put(world, { [TTL]: "60" }, { path: `${TOKEN_PATH}/` })).status, 200);
});
row(18, "PUT /latest//api/token", async (world) => {
  assert.equal((await put(world, { [TTL]: "60" }, { path: "/latest//api/token" })).status, 200);
});
row(19, "PUT token with a byte, with length 0, without a length", async (world) => {
  assert.equal((await put(world, { [TTL]: "60" }, { body: "x" })).status, 200);
  assert.equal((await put(world, { [TTL]: "60", "content-length": "0" })).status, 200);
  const head = `PUT ${TOKEN_PATH} HTTP/1.1\r\nHost: ${METADATA_IPV4}\r\n${TTL}: 60\r\n`;
  const place = { host: METADATA_IPV4, port: 80, from: A };
  assert.match(await askRaw(place, `${head}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200 /);
});
row(20, "PUT token with 10 MB is refused, and its memory is not", async (world) => {
  const before = process.memoryUsage().rss;
  const body = Buffer.alloc(10 * 1024 * 1024);
  const statuses = await Promise.all(
    [{}, { "transfer-encoding": "chunked" }].map(async (headers) => {
      try {
        return (await put(world, { [TTL]: "60", ...headers }, { body })).status;
      } catch {
        return "closed";
      }
    }),
  );
  for (const status of statuses) assert.ok(status === 413 || status === "closed", String(status));
  assert.ok(process.memoryUsage().rss - before < 64 * 1024 * 1024);
});
row(21, "two PUTs are two tokens, both good", async (world) => {
  const [one, two] = await Promise.all([world.token(A), world.token(A)]);
  assert.notDeepEqual(one, two);
  assert.deepEqual(await statusOfAll([get(world, "/", one), get(world, "/", two)]), [200, 200]);
});
row(22, "PUT token by a pod without a role", async (world) => {
  assert.equal((await put(world, { [TTL]: "60" }, { from: PLAIN })).status, 200);
});
row(23, "PUT token within 200 ms while the API server and STS hang", async (world) => {
  world.aws.set({ faults: { latencyMs: 5000 } });
  world.api.hang(true);
  try {
    // So that both are being asked. What comes of it is not this row's.
    const asking = Promise.allSettled([world.read(HUNG, CREDENTIALS)]);
    assert.equal((await within(200, () => put(world, { [TTL]: "60" }))).status, 200);
    const ofAsking = { from: HUNG };
    assert.equal((await within(200, () => put(world, { [TTL]: "60" }, ofAsking))).status, 200);
    world.api.hang(false);
    await asking;
    await until("STS is being asked", async () => {
      await world.read(HUNG, CREDENTIALS);
      return world.api.requests.includes("POST /api/v1/namespaces/ns/serviceaccounts/hung/token");
    });
    assert.equal(world.exchangesOf("hung"), 0);
    assert.equal((await within(200, () => put(world, { [TTL]: "60" }, ofAsking))).status, 200);
    assert.equal(world.exchangesOf("hung"), 0);
  } finally {
    world.aws.set({ faults: {} });
    world.api.hang(false);
  }
});
row(24, "a token of 1 s after 1.1 s", async (world) => {
  const token = await world.token(A, 1);
  assert.equal((await get(world, "/", token)).status, 200);
  await sleep(1100);
  assert.equal((await get(world, "/", token)).status, 401);
});
row(25, "a token from before a restart", async (world) => {
  const token = await world.token(A);
  await world.restart();
  assert.equal((await get(world, CREDENTIALS, token)).status, 200);
});
row(26, "a token of pod A from pod B", async (world) => {
  assert.equal((await get(world, "/", await world.token(A), B)).status, 401);
});
async function badTokenStatuses(world: ShimWorld, from: string): Promise<readonly number[]> {
  const token = (await world.token(from))[TOKEN] ?? "";
  const flipped = `${token.slice(0, 20)}${token[20] === "A" ? "B" : "A"}${token.slice(21)}`;
  const bad = [flipped, token.slice(0, -3), "INVALID", "x".repeat(10_000), ""];
  return statusOfAll(bad.map((text) => get(world, "/latest/meta-data/", { [TOKEN]: text }, from)));
}
row(27, "tokens that are flipped, cut, INVALID, of 10 kB, empty", async (world) => {
  assert.deepEqual(await badTokenStatuses(world, A), [401, 401, 401, 401, 401]);
});
row(28, "the same where no token is needed", async (world) => {
  assert.deepEqual(await badTokenStatuses(world, V1), [401, 401, 401, 401, 401]);
});
row(29, "PUT token with Expect: 100-continue", async (world) => {
  const head = `PUT ${TOKEN_PATH} HTTP/1.1\r\nHost: ${METADATA_IPV4}\r\n${TTL}: 60\r\n`;
  const place = { host: METADATA_IPV4, port: 80, from: A };
  const text = `${head}Expect: 100-continue\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`;
  assert.match(await askRaw(place, text), /HTTP\/1\.1 (200|417) /);
  assert.equal((await put(world, { [TTL]: "60", expect: "100-continue" })).status, 200);
});
row(30, "PUT token with HTTP/1.0", async () => {
  const place = { host: METADATA_IPV4, port: 80, from: A };
  const text = `PUT ${TOKEN_PATH} HTTP/1.0\r\n${TTL}: 60\r\n\r\n`;
  const answer = await askRaw(place, text);
  assert.match(answer, /^HTTP\/1\.[01] 200 /);
  assert.match(answer, /^connection: close\r$/im);
});
