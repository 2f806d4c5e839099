import assert from "node:assert/strict";
import { METADATA_VERSIONS } from "../../../metadata-shim/imds/metadata-tree.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { METADATA_IPV4 } from "../shim-world.ts";
import { TTL, TOKEN, statusOfAll } from "../replies.ts";
import { CREDENTIALS, get } from "./ask.ts";
import { A, V1 } from "./pods.ts";

export const tokenOnReadRows: ConformanceRow[] = [];
const row = rowsInto(tokenOnReadRows);

row(31, "GET without a token where one is required", async (world) => {
  const { status, body } = await get(world, "/latest/meta-data/");
  assert.deepEqual([status, body], [401, ""]);
});
row(32, "GET without a token where none is required", async (world) => {
  assert.equal((await get(world, "/latest/meta-data/", {}, V1)).status, 200);
});
row(33, "GET with a token tells how long it holds", async (world) => {
  const reply = await get(world, "/latest/meta-data/", await world.token(A, 100));
  const seconds = Number(reply.headers[TTL]);
  assert.ok(reply.status === 200 && seconds > 0 && seconds <= 100, String(seconds));
});
row(34, "every version without a token", async (world) => {
  const statuses = await statusOfAll(
    METADATA_VERSIONS.map((version) => get(world, `/${version}/meta-data/`)),
  );
  assert.deepEqual(new Set(statuses), new Set([401]));
});
row(35, "an unknown path without a token", async (world) => {
  assert.equal((await get(world, "/womp")).status, 401);
});
row(36, "/, /latest, /latest/ without a token", async (world) => {
  const replies = ["/", "/latest", "/latest/"].map((path) => get(world, path));
  assert.deepEqual(await statusOfAll(replies), [401, 401, 401]);
});
row(37, "GET / with the token INVALID", async (world) => {
  assert.equal((await get(world, "/", { [TOKEN]: "INVALID" })).status, 401);
});
row(38, "credentials with a token and X-Forwarded-For", async (world) => {
  const headers = { ...(await world.token(A)), "x-forwarded-for": "1.2.3.4" };
  assert.equal((await get(world, CREDENTIALS, headers)).status, 403);
});
row(39, "Host evil.example", async (world) => {
  const token = await world.token(A);
  assert.equal((await get(world, "/", { ...token, host: "evil.example" })).status, 403);
});
row(40, "Host 169.254.169.254, with and without its port", async (world) => {
  const token = await world.token(A);
  const hosts = [METADATA_IPV4, `${METADATA_IPV4}:80`];
  const replies = hosts.map((host) => get(world, "/", { ...token, host }));
  assert.deepEqual(await statusOfAll(replies), [200, 200]);
});
