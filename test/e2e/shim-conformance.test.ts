import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { connect, type Socket } from "node:net";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { stsRegionOf } from "../../metadata-shim/credentials/sts-region.ts";
import { METADATA_VERSIONS } from "../../metadata-shim/imds/metadata-tree.ts";
import { stsClient } from "../aws/fixtures/sdk-clients.ts";
import { ask, askRaw, type Reply } from "../fakes/ask.ts";
import { createMovedClock } from "../fakes/moved-clock.ts";
import { until } from "../fakes/until.ts";
import { NODE_IPS, startMetadataLab } from "../network/metadata-lab.ts";
import type { NetworkNamespace } from "../network/network-namespace.ts";
import { missingTools } from "../network/missing-tools.ts";
import {
  checkRows,
  rowTable,
  type ConformanceRow,
  type RowResult,
} from "../shim/conformance-row.ts";
import { runInsideNamespace } from "../shim/inside-namespace.ts";
import {
  METADATA_IPV4,
  METADATA_IPV6,
  NODE_ADDRESS,
  REGION,
  ROLE_LIST,
  startShimWorld,
  type ShimWorld,
} from "../shim/shim-world.ts";
import { ensurePythonEnvironment, hasPython } from "./python-environment.ts";

// A hundred rows of what the metadata service answers to whom, each checked on a real socket against
// a whole shim. This file runs itself again in a network namespace, where the metadata service's own
// address is the shim's, and pods have addresses of their own.

const INSIDE = "IRSA_CONFORMANCE_INSIDE";
const PYTHON = "IRSA_CONFORMANCE_PYTHON";

const TTL = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN = "x-aws-ec2-metadata-token";
const TOKEN_PATH = "/latest/api/token";
const CREDENTIALS = `${ROLE_LIST}/app-role`;
const DOCUMENT = "/latest/dynamic/instance-identity/document";

/** Pods by their addresses. */
const A = "10.1.0.2";
const A_IPV6 = "fd01::2";
/** Of another ServiceAccount with the same role. */
const B = "10.1.0.3";
/** Says that it needs no session tokens. */
const V1 = "10.1.0.4";
/** Without a role. */
const PLAIN = "10.1.0.5";
const TWINS = "10.1.0.6";
/** Of a finished pod and of one that runs. */
const REUSED = "10.1.0.7";
const LATE = "10.1.0.8";
const MOVED = "10.1.0.9";
const CHINA = "10.1.0.10";
const LONG_ROLE = "10.1.0.11";
const LONG_POD = "10.1.0.12";
const REFUSED = "10.1.0.13";
const CROWD = "10.1.0.14";
const SLOW = "10.1.0.15";
const CHANGING = "10.1.0.16";
/** Nobody's. */
const UNKNOWN = "10.1.0.60";

const LONG_NAME = `a+=,.@-_${"x".repeat(56)}`;
const LONG_POD_NAME = "p".repeat(253);
const ISO_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/;

async function prepare(world: ShimWorld): Promise<void> {
  const role = await world.role("app-role", { path: "/team/" });
  for (const name of ["app", "other", "late", "moved-1", "moved-2", "crowd", "slow"]) {
    world.serviceAccount(name, role);
  }
  world.serviceAccount("plain");
  world.serviceAccount("china", "arn:aws-cn:iam::111122223333:role/app-role");
  world.serviceAccount("long", await world.role(LONG_NAME));
  world.serviceAccount("refused", await world.role("not-yours", { subject: "somebody-else" }));
  world.serviceAccount("changing", role);
  await world.role("changed-role");

  world.pod("app", A, { addresses: [A, A_IPV6] });
  world.pod("other", B);
  const annotations = { "irsa-anywhere.io/http-tokens": "optional" };
  world.pod("legacy", V1, { serviceAccount: "app", annotations });
  world.pod("plain", PLAIN);
  world.pod("twin-1", TWINS, { serviceAccount: "app" });
  world.pod("twin-2", TWINS, { serviceAccount: "other" });
  world.pod("job", REUSED, { serviceAccount: "other", phase: "Succeeded" });
  world.pod("after-job", REUSED, { serviceAccount: "app" });
  world.pod("china", CHINA);
  world.pod("long", LONG_ROLE);
  world.pod(LONG_POD_NAME, LONG_POD, { serviceAccount: "app", uid: "long-pod" });
  world.pod("refused", REFUSED);
  world.pod("crowd", CROWD);
  world.pod("slow", SLOW);
  world.pod("changing", CHANGING);
  world.pod("host", NODE_ADDRESS, { serviceAccount: "app", hostNetwork: true });
}

const rows: ConformanceRow[] = [];
function row(number: number, title: string, check: ConformanceRow["check"]): void {
  rows.push({ number, title, check });
}

function put(
  world: ShimWorld,
  headers: Readonly<Record<string, string | readonly string[]>>,
  {
    from = A,
    path = TOKEN_PATH,
    body,
  }: { from?: string; path?: string; body?: string | Buffer } = {},
): Promise<Reply> {
  return world.ask({ from, method: "PUT", path, headers, body });
}

function get(
  world: ShimWorld,
  path: string,
  headers: Readonly<Record<string, string>> = {},
  from = A,
): Promise<Reply> {
  return world.ask({ from, path, headers });
}

interface Document {
  readonly AccessKeyId: string;
  readonly SecretAccessKey: string;
  readonly Token: string;
  readonly Expiration: string;
  readonly [name: string]: string;
}

function documentOf(reply: Reply): Document {
  assert.equal(reply.status, 200, reply.body);
  return JSON.parse(reply.body) as Document;
}

async function credentialsAt(world: ShimWorld, from: string): Promise<Document> {
  return documentOf(await world.read(from, CREDENTIALS));
}

/** Who credentials are, by AWS's word. */
async function identityOf(world: ShimWorld, credentials: Document): Promise<string> {
  const { AccessKeyId, SecretAccessKey, Token } = credentials;
  const client = stsClient(world.aws, {
    accessKeyId: AccessKeyId,
    secretAccessKey: SecretAccessKey,
    sessionToken: Token,
  });
  return (await client.send(new GetCallerIdentityCommand({}))).Arn ?? "";
}

async function statusOfAll(replies: Iterable<Promise<Reply>>): Promise<readonly number[]> {
  return (await Promise.all(replies)).map(({ status }) => status);
}

function listsOf(world: ShimWorld): number {
  return world.api.requests.filter((request) => request === "GET /api/v1/pods").length;
}

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
row(23, "PUT token while the API server hangs", async (world) => {
  world.api.hang(true);
  try {
    assert.equal((await put(world, { [TTL]: "60" })).status, 200);
  } finally {
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
row(51, "security-credentials-extended/", async (world) => {
  const path = "/latest/meta-data/iam/security-credentials-extended/";
  assert.equal((await world.read(A, path)).status, 404);
  assert.equal((await get(world, path)).status, 401);
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
    const document = documentOf(await world.read(A, path));
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
  const info = documentOf(await world.read(A, "/latest/meta-data/iam/info"));
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

row(67, "credentials: seven fields", async (world) => {
  const document = await credentialsAt(world, A);
  assert.deepEqual(Object.keys(document), [
    "Code",
    "LastUpdated",
    "Type",
    "AccessKeyId",
    "SecretAccessKey",
    "Token",
    "Expiration",
  ]);
  assert.deepEqual([document["Code"], document["Type"]], ["Success", "AWS-HMAC"]);
});
row(68, "credentials: times", async (world) => {
  const { Expiration, LastUpdated = "" } = await credentialsAt(world, A);
  assert.match(Expiration, ISO_TIME);
  assert.match(LastUpdated, ISO_TIME);
});

/** A world of which the test moves the clock, on a port of its own. */
async function movedWorld(): Promise<AsyncDisposable & Moved> {
  // TLS goes by the system's clock, and so must the start.
  const clock = createMovedClock(Date.now());
  const world = await startShimWorld({
    clock,
    monotonicNow: () => clock.now(),
    flags: ["--app-port=8080"],
  });
  world.serviceAccount("app", await world.role("app-role"));
  world.pod("app", A);
  const headers = async (): Promise<Readonly<Record<string, string>>> => {
    const ttl = { [TTL]: "21600" };
    const question = { from: A, method: "PUT", path: TOKEN_PATH, port: 8080, headers: ttl };
    return { [TOKEN]: (await world.ask(question)).body };
  };
  return {
    world,
    advance: (ms) => clock.advance(ms),
    now: () => clock.now(),
    async ask() {
      return world.ask({ from: A, path: CREDENTIALS, port: 8080, headers: await headers() });
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  };
}

interface Moved {
  readonly world: ShimWorld;
  advance(ms: number): void;
  now(): number;
  ask(): Promise<Reply>;
}

row(69, "credentials have 25 minutes left over 6 hours", async () => {
  await using moved = await movedWorld();
  const lives: number[] = [];
  for (let minute = 0; minute < 360; minute += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
    const { Expiration } = documentOf(await moved.ask());
    lives.push(Date.parse(Expiration) - moved.now());
    moved.advance(60_000);
  }
  const least = Math.min(...lives) / 60_000;
  assert.ok(least >= 25, `${least} minutes`);
  const exchanges = moved.world.exchangesOf("app");
  assert.ok(exchanges <= 16, `${exchanges} calls of STS`);
});
row(70, "STS is down when credentials are to be renewed", async () => {
  await using moved = await movedWorld();
  const first = documentOf(await moved.ask());
  moved.world.aws.set({ faults: { serverErrors: 100_000 } });
  for (let minute = 0; minute < 50; minute += 1) {
    moved.advance(60_000);
    // oxlint-disable-next-line eslint/no-await-in-loop -- time passes between
    assert.equal(documentOf(await moved.ask()).AccessKeyId, first.AccessKeyId);
  }
  const tries = moved.world.exchangesOf("app") - 1;
  assert.ok(tries >= 0 && moved.world.aws.calls().length > 3);
  moved.world.aws.set({ faults: {} });
  await until("they are renewed", async () => {
    moved.advance(60_000);
    return documentOf(await moved.ask()).AccessKeyId !== first.AccessKeyId;
  });
});
row(71, "STS is down until 60 s before the end", async () => {
  await using moved = await movedWorld();
  const { Expiration } = documentOf(await moved.ask());
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
row(73, "STS never answers", async (world) => {
  const actions = ["AssumeRoleWithWebIdentity"];
  world.aws.set({ faults: { latencyMs: 15_000, actions } });
  try {
    assert.equal((await world.read(SLOW, CREDENTIALS)).status, 503);
  } finally {
    world.aws.set({ faults: {} });
  }
});
row(74, "100 requests at once for a pod that never asked", async (world) => {
  const headers = await world.token(CROWD);
  const replies = await Promise.all(
    Array.from({ length: 100 }, () => get(world, CREDENTIALS, headers, CROWD)),
  );
  assert.equal(new Set(replies.map((reply) => documentOf(reply).AccessKeyId)).size, 1);
  const tokens = "POST /api/v1/namespaces/ns/serviceaccounts/crowd/token";
  assert.equal(world.api.requests.filter((request) => request === tokens).length, 1);
  assert.equal(world.exchangesOf("crowd"), 1);
});
row(75, "two pods of one role are two sessions, with their names", async (world) => {
  const [a, b] = await Promise.all([credentialsAt(world, A), credentialsAt(world, B)]);
  assert.notEqual(a.AccessKeyId, b.AccessKeyId);
  assert.match(await identityOf(world, a), /assumed-role\/app-role\/ns\.app$/);
  assert.match(await identityOf(world, b), /assumed-role\/app-role\/ns\.other$/);
});
row(76, "two pods at once never see each other's credentials", async (world) => {
  const pods = await Promise.all(
    [A, B].map(async (from) => {
      const { AccessKeyId } = await credentialsAt(world, from);
      return { from, key: AccessKeyId, headers: await world.token(from) };
    }),
  );
  for (let round = 0; round < 20; round += 1) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- bounded by connections
    await Promise.all(
      Array.from({ length: 40 }, async () => {
        const pod = pods[Math.random() < 0.5 ? 0 : 1];
        assert.ok(pod !== undefined);
        const reply = await get(world, CREDENTIALS, pod.headers, pod.from);
        assert.equal(documentOf(reply).AccessKeyId, pod.key);
      }),
    );
  }
});
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
  assert.equal(documentOf(reply).AccessKeyId, (await credentialsAt(world, A)).AccessKeyId);
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
  const document = documentOf(await world.read(CHANGING, `${ROLE_LIST}/changed-role`));
  assert.match(await identityOf(world, document), /assumed-role\/changed-role\//);
  world.serviceAccount("changing");
  await until("it has none", async () => (await list()).status === 404);
});
row(86, "a ServiceAccount without a role", async (world) => {
  const replies = [`${ROLE_LIST}/`, CREDENTIALS].map((path) => world.read(PLAIN, path));
  assert.deepEqual(await statusOfAll(replies), [404, 404]);
});
row(87, "a role in China", async (world) => {
  const info = documentOf(await world.read(CHINA, "/latest/meta-data/iam/info"));
  const arn = "arn:aws-cn:iam::111122223333:instance-profile/app-role";
  assert.equal(info["InstanceProfileArn"], arn);
  assert.equal(stsRegionOf("arn:aws-cn:iam::111122223333:role/app-role", REGION), "cn-north-1");
  assert.equal(
    stsRegionOf("arn:aws-us-gov:iam::111122223333:role/app-role", REGION),
    "us-gov-west-1",
  );
});
row(88, "a role's name of 64 characters, encoded", async (world) => {
  assert.equal(LONG_NAME.length, 64);
  assert.equal((await world.read(LONG_ROLE, `${ROLE_LIST}/`)).body, LONG_NAME);
  for (const name of [encodeURIComponent(LONG_NAME), LONG_NAME]) {
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    documentOf(await world.read(LONG_ROLE, `${ROLE_LIST}/${name}`));
  }
});
row(89, "a pod's name of 253 characters", async (world) => {
  const arn = await identityOf(world, await credentialsAt(world, LONG_POD));
  assert.match(arn, /\/app-role\/[\w+=,.@-]{2,64}$/);
});
row(90, "credentials are JSON that says what AWS said", async (world) => {
  const reply = await world.read(A, CREDENTIALS);
  assert.doesNotMatch(reply.body, /\\/);
  assert.match(await identityOf(world, documentOf(reply)), /assumed-role\/app-role\//);
});

row(91, "every answer has its length, and is in one piece", async (world) => {
  const token = await world.token(A);
  const replies = await Promise.all([
    get(world, "/", token),
    get(world, "/"),
    get(world, "/womp", token),
    get(world, CREDENTIALS, token),
    get(world, "/", { ...token, host: "evil.example" }),
    put(world, {}),
    world.ask({ from: A, method: "POST", path: "/" }),
    world.read(TWINS, ROLE_LIST),
  ]);
  assert.deepEqual(
    replies.map(({ status }) => status),
    [200, 401, 404, 200, 403, 400, 405, 503],
  );
  for (const { headers, body } of replies) {
    assert.equal(headers["content-length"], String(body.length));
    assert.equal(headers["transfer-encoding"], undefined);
  }
});
row(92, "half a request, for two seconds and more", async (world) => {
  const place = { host: METADATA_IPV4, port: 80, from: A };
  const slow = askRaw(place, `GET / HTTP/1.1\r\nHost: ${METADATA_IPV4}\r\n`);
  assert.equal((await world.read(B, `${ROLE_LIST}/`)).status, 200);
  assert.match(await slow, /^HTTP\/1\.1 408 |^$/);
});
row(93, "1000 idle connections from one pod", async (world) => {
  const sockets: Socket[] = [];
  try {
    for (let i = 0; i < 1000; i += 1) {
      const socket = connect({ host: METADATA_IPV4, port: 80, localAddress: A });
      socket.on("error", () => {});
      sockets.push(socket);
    }
    const replies = Array.from({ length: 10 }, () => world.read(B, CREDENTIALS));
    assert.deepEqual(new Set(await statusOfAll(replies)), new Set([200]));
  } finally {
    for (const socket of sockets) socket.destroy();
  }
  await until("there is room again", async () => {
    try {
      return (await world.read(A, CREDENTIALS)).status === 200;
    } catch {
      return false;
    }
  });
});
row(94, "a stop during requests", async (world) => {
  const shim = await world.another(["--app-port=8081"]);
  await shim.whenReady;
  const token = await world.token(A);
  world.api.hang(true);
  try {
    const before = listsOf(world);
    const asking = world.ask({ from: A, port: 8081, path: CREDENTIALS, headers: token });
    await until("it is on its way", () => listsOf(world) > before);
    const stopping = shim[Symbol.asyncDispose]();
    const ready = await ask({ host: "127.0.0.1", port: shim.adminPort, path: "/readyz" });
    assert.deepEqual([ready.status, ready.body], [503, "draining\n"]);
    world.api.hang(false);
    assert.equal((await asking).status, 200);
    await stopping;
  } finally {
    world.api.hang(false);
  }
  await assert.rejects(world.ask({ from: A, port: 8081, path: "/" }), { code: "ECONNREFUSED" });
});
row(95, "a start without an API server", async (world) => {
  await using shim = await world.another(["--app-port=8082", "--api-server=http://127.0.0.1:1"]);
  const headers = { [TTL]: "60" };
  const token = await world.ask({ from: A, port: 8082, method: "PUT", path: TOKEN_PATH, headers });
  assert.equal(token.status, 200);
  const list = await world.ask({
    from: A,
    port: 8082,
    path: `${ROLE_LIST}/`,
    headers: { [TOKEN]: token.body },
  });
  assert.equal(list.status, 503);
  const ready = await ask({ host: "127.0.0.1", port: shim.adminPort, path: "/readyz" });
  assert.equal(ready.status, 503);
});
row(96, "the log holds no secret", async (world) => {
  const document = await credentialsAt(world, A);
  const token = (await world.token(A))[TOKEN] ?? "";
  await get(world, "/womp", { [TOKEN]: token });
  const text = JSON.stringify(world.lines);
  assert.match(text, /Issued credentials/);
  assert.match(text, new RegExp(document.AccessKeyId));
  for (const secret of [document.SecretAccessKey, document.Token, token]) {
    assert.ok(!text.includes(secret));
  }
  assert.doesNotMatch(text, /eyJ[\w-]+\.|AQAAA/);
});
row(97, "metrics and health are not there for pods", async (world) => {
  const paths = ["/metrics", "/healthz", "/readyz", "/debug/state", "/ping", "/health"];
  const statuses = await statusOfAll(paths.map((path) => world.read(A, path)));
  assert.deepEqual(
    statuses,
    paths.map(() => 404),
  );
});
function clientFile(file: string): string {
  return fileURLToPath(new URL(`clients/${file}`, import.meta.url));
}
row(100, "AWS SDKs for JavaScript v2, v3 and boto3, before and after a restart", async (world) => {
  const python = process.env[PYTHON] ?? "";
  const clients = [
    [process.execPath, clientFile("sdk-v3.ts")],
    [process.execPath, clientFile("sdk-v2.ts")],
    ...(python === "" ? [] : [[python, clientFile("boto3_client.py")]]),
  ];
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: "/nonexistent",
    AWS_REGION: REGION,
    AWS_DEFAULT_REGION: REGION,
    AWS_ENDPOINT_URL_STS: world.aws.sts,
    AWS_CA_BUNDLE: world.aws.ca,
    NODE_EXTRA_CA_CERTS: world.aws.ca,
  };
  for (const [from, session] of [
    [A, "ns.app"],
    [V1, "ns.legacy"],
  ] as const) {
    const route = `route replace table local local ${METADATA_IPV4} dev lo src ${from}`;
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await promisify(execFile)("ip", route.split(" "));
    for (const [program = "", ...args] of clients) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      const { stdout } = await promisify(execFile)(program, args, { env });
      const { arn } = JSON.parse(stdout) as { arn: string };
      assert.equal(arn, `arn:aws:sts::111122223333:assumed-role/app-role/${session}`);
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
    await world.restart();
  }
});

/** All rules of both families; counters and times left out. */
async function savedRules(node: NetworkNamespace): Promise<string> {
  const programs = ["iptables-nft-save", "ip6tables-nft-save"];
  const texts = await Promise.all(programs.map((program) => node.run(program, [])));
  return texts
    .join("")
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll(/\[\d+:\d+\]/g, "[0:0]");
}

/** Rows about rules of the network, which need pods behind a node of their own. */
async function ruleRows(): Promise<readonly RowResult[]> {
  await using lab = await startMetadataLab("nft");
  const { node, podA } = lab;
  const irsa = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const ips = `${NODE_IPS.ipv4},${NODE_IPS.ipv6}`;
  const apply = (): Promise<string> =>
    node.run(process.execPath, [
      irsa,
      ..."shim rules apply --iptables-backend nft".split(" "),
      "--host-ip",
      ips,
    ]);
  const urls = [`http://${METADATA_IPV4}/`, `http://[${METADATA_IPV6}]/`];
  const results: RowResult[] = [];
  const check = async (number: number, title: string, run: () => Promise<void>): Promise<void> => {
    let problem: string | undefined;
    try {
      await run();
    } catch (err) {
      problem = String(err);
    }
    results.push({ number, title, problem });
  };
  const kept = { connection: "kept" };
  await node.listen("shim", 8181);
  assert.equal((await podA.get(urls[0] ?? "", kept)).name, "real");
  await check(98, "rules that are put in twice are there once", async () => {
    await apply();
    const once = await savedRules(node);
    await apply();
    assert.equal(await savedRules(node), once);
    assert.equal(once.match(/-j DNAT/g)?.length, 2);
  });
  await check(99, "with rules only the shim is reached, by neither family", async () => {
    for (const url of urls) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal((await podA.get(url)).name, "shim", url);
    }
    assert.notEqual((await podA.get(urls[0] ?? "", kept)).name, "real");
    await node.close("shim");
    for (const url of urls) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      assert.equal((await podA.get(url)).name, undefined, url);
    }
    await node.run("iptables-nft", ["-t", "nat", "-F", "IRSA-METADATA"]);
    assert.equal((await podA.get(urls[0] ?? "")).name, undefined);
  });
  return results;
}

if (process.env[INSIDE] === "true") {
  await using world = await startShimWorld();
  await prepare(world);
  await checkRows(world, rows, (result) => {
    process.stdout.write(`${JSON.stringify(result)}\n`);
  });
} else {
  const skip = missingTools(process.env) ?? false;
  describe("the metadata service conforms", { skip, timeout: 900_000 }, () => {
    it("in each of a hundred rows", async (t) => {
      const python = (await hasPython()) ? await ensurePythonEnvironment() : "";
      if (python === "" && process.env["CI"] === "true")
        assert.fail("boto3 needs Python with venv");
      const results: RowResult[] = [];
      const file = fileURLToPath(import.meta.url);
      const env = {
        [INSIDE]: "true",
        [PYTHON]: python,
        NODE_TEST_CONTEXT: undefined,
        AWS_EC2_METADATA_DISABLED: undefined,
      };
      const code = await runInsideNamespace(file, env, (line) => {
        results.push(JSON.parse(line) as RowResult);
      });
      results.push(...(await ruleRows()));
      t.diagnostic(`\n${rowTable(results)}`);
      for (const { number, title, problem } of results.toSorted((a, b) => a.number - b.number)) {
        // oxlint-disable-next-line eslint/no-await-in-loop -- in their order
        await t.test(`${number}. ${title}`, () => assert.equal(problem, undefined, problem));
      }
      assert.equal(code, 0);
      assert.deepEqual(
        results.map(({ number }) => number).toSorted((a, b) => a - b),
        Array.from({ length: 100 }, (_, i) => i + 1),
      );
    });
  });
}
