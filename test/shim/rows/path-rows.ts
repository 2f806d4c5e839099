import assert from "node:assert/strict";
import { askRaw } from "../../fakes/ask.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { METADATA_IPV4, REGION, ROLE_LIST } from "../shim-world.ts";
import { ISO_TIME, factsIn, statusOfAll } from "../replies.ts";
import { CREDENTIALS, DOCUMENT, get } from "./ask.ts";
import { A } from "./pods.ts";
import { within } from "./within.ts";

export const pathRows: ConformanceRow[] = [];
const row = rowsInto(pathRows);

row(41, "GET /", async (world) => {
  const { status, body } = await world.read(A, "/");
  assert.equal(status, 200);
  assert.ok(body.split("\n").includes("latest"));
});
row(42, "GET /latest and /latest/", async (world) => {
  const [one, two] = await Promise.all(["/latest", "/latest/"].map((path) => world.read(A, path)));
  assert.deepEqual([one?.status, two?.status], [200, 200]);
  assert.equal(one?.body, two?.body);
  assert.ok(one?.body.split("\n").includes("meta-data"));
});
row(43, "GET /latest/meta-data and /latest/meta-data/", async (world) => {
  const paths = ["/latest/meta-data", "/latest/meta-data/"];
  const [one, two] = await Promise.all(paths.map((path) => world.read(A, path)));
  assert.deepEqual([one?.status, two?.status], [200, 200]);
  assert.equal(one?.body, two?.body);
  assert.ok(one?.body.split("\n").includes("iam/"));
});
row(44, "GET /latest/meta-data/iam/", async (world) => {
  const { body } = await world.read(A, "/latest/meta-data/iam/");
  assert.equal(body, "info\nsecurity-credentials/");
});
row(45, "the list of roles: one name, no newline", async (world) => {
  const { status, body, headers } = await world.read(A, `${ROLE_LIST}/`);
  assert.deepEqual([status, body, headers["content-length"]], [200, "app-role", "8"]);
});
row(46, "the list of roles without a slash", async (world) => {
  const { status, body } = await world.read(A, ROLE_LIST);
  assert.deepEqual([status, body], [200, "app-role"]);
});
row(47, "the list of roles with doubled slashes", async (world) => {
  const { body } = await world.read(A, "/latest//meta-data//iam/security-credentials/");
  assert.equal(body, "app-role");
});
row(48, "credentials with a slash at the end", async (world) => {
  const [one, two] = await Promise.all([
    world.read(A, CREDENTIALS),
    world.read(A, `${CREDENTIALS}/`),
  ]);
  assert.deepEqual([two.status, two.body], [200, one.body]);
});
row(49, "credentials of another role", async (world) => {
  const { status, body } = await world.read(A, `${ROLE_LIST}/other-role`);
  assert.equal(status, 404);
  assert.ok(!body.includes("AccessKeyId"));
});
row(50, "credentials of the role in upper case", async (world) => {
  assert.equal((await world.read(A, `${ROLE_LIST}/APP-ROLE`)).status, 404);
});
row(51, "security-credentials-extended/ within 100 ms", async (world) => {
  const path = "/latest/meta-data/iam/security-credentials-extended/";
  const token = await world.token(A);
  assert.equal((await within(100, () => get(world, path, token))).status, 404);
  assert.equal((await within(100, () => get(world, path))).status, 401);
});
row(52, "paths that are nothing", async (world) => {
  const paths = ["/womp", "/latest/womp", "/latest/meta-data/womp"];
  assert.deepEqual(await statusOfAll(paths.map((path) => world.read(A, path))), [404, 404, 404]);
});
row(53, "paths that lead elsewhere", async (world) => {
  const paths = [
    "/latest/meta-data/../user-data",
    "/latest/meta-data/%2e%2e/user-data",
    "/latest/meta-data%2fiam",
    "/latest\\meta-data",
    "/latest/meta-data/%00",
  ];
  const statuses = await statusOfAll(paths.map((path) => world.read(A, path)));
  assert.deepEqual(
    statuses,
    paths.map(() => 404),
  );
  const place = { host: METADATA_IPV4, port: 80, from: A };
  const answer = await askRaw(place, `GET /latest/\0 HTTP/1.1\r\nHost: ${METADATA_IPV4}\r\n\r\n`);
  assert.match(answer, /^HTTP\/1\.1 40[04] /);
});
row(54, "/latest/user-data", async (world) => {
  const paths = ["/latest/user-data", "/latest/user-data/"];
  assert.deepEqual(await statusOfAll(paths.map((path) => world.read(A, path))), [404, 404]);
});
row(55, "placement/availability-zone, with and without a slash", async (world) => {
  for (const slash of ["", "/"]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const reply = await world.read(A, `/latest/meta-data/placement/availability-zone${slash}`);
    const { status, body, headers } = reply;
    assert.deepEqual([status, body, headers["content-type"]], [200, `${REGION}a`, "text/plain"]);
  }
});
row(56, "placement/region", async (world) => {
  assert.equal((await world.read(A, "/latest/meta-data/placement/region")).body, REGION);
});
row(57, "/latest/dynamic/", async (world) => {
  assert.equal((await world.read(A, "/latest/dynamic/")).body, "instance-identity/");
});
row(58, "/latest/dynamic/instance-identity/", async (world) => {
  assert.equal((await world.read(A, "/latest/dynamic/instance-identity/")).body, "document");
});
row(59, "the instance identity document, in every slash form", async (world) => {
  const paths = [DOCUMENT, `${DOCUMENT}/`, "/latest/dynamic/instance-identity//document"];
  for (const path of paths) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const document = factsIn(await world.read(A, path));
    assert.deepEqual([document["region"], document["accountId"]], [REGION, "111122223333"]);
    assert.match(document["pendingTime"] ?? "", ISO_TIME);
  }
});
row(60, "signature, pkcs7, rsa2048", async (world) => {
  const paths = ["signature", "pkcs7", "rsa2048"].map(
    (name) => `/latest/dynamic/instance-identity/${name}`,
  );
  assert.deepEqual(await statusOfAll(paths.map((path) => world.read(A, path))), [404, 404, 404]);
});
row(61, "iam/info", async (world) => {
  const info = factsIn(await world.read(A, "/latest/meta-data/iam/info"));
  assert.equal(info["Code"], "Success");
  const arn = "arn:aws:iam::111122223333:instance-profile/app-role";
  assert.equal(info["InstanceProfileArn"], arn);
});
row(62, "spot/instance-action, events/recommendations/rebalance", async (world) => {
  const paths = ["spot/instance-action", "events/recommendations/rebalance"];
  const replies = paths.map((path) => world.read(A, `/latest/meta-data/${path}`));
  assert.deepEqual(await statusOfAll(replies), [404, 404]);
});
row(63, "HEAD of the list, of a leaf, of iam/info", async (world) => {
  const headers = await world.token(A);
  const paths = [
    `${ROLE_LIST}/`,
    "/latest/meta-data/placement/availability-zone",
    "/latest/meta-data/iam/info",
  ];
  for (const path of paths) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const whole = await get(world, path, headers);
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    const head = await world.ask({ from: A, method: "HEAD", path, headers });
    assert.deepEqual([head.status, head.body], [200, ""]);
    assert.equal(head.headers["content-length"], String(whole.body.length));
  }
});
row(64, "POST, PUT, DELETE, PATCH of metadata", async (world) => {
  const headers = await world.token(A);
  const replies = ["POST", "PUT", "DELETE", "PATCH"].map((method) =>
    world.ask({ from: A, method, path: CREDENTIALS, headers }),
  );
  assert.deepEqual(await statusOfAll(replies), [405, 405, 405, 405]);
});
row(65, "OPTIONS, TRACE, CONNECT", async (world) => {
  const headers = await world.token(A);
  const replies = ["OPTIONS", "TRACE"].map((method) =>
    world.ask({ from: A, method, path: "/", headers }),
  );
  assert.deepEqual(await statusOfAll(replies), [405, 405]);
  const place = { host: METADATA_IPV4, port: 80, from: A };
  const connecting = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n";
  assert.match(await askRaw(place, connecting), /^HTTP\/1\.1 (405|501) /);
});
row(66, "a query string changes nothing", async (world) => {
  const [one, two] = await Promise.all([
    world.read(A, `${ROLE_LIST}/`),
    world.read(A, `${ROLE_LIST}/?a=/b&c`),
  ]);
  assert.deepEqual([one.status, two.status, two.body], [200, 200, one.body]);
});
