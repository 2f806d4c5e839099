import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ask, askRaw, type Reply } from "../../fakes/ask.ts";
import { until } from "../../fakes/until.ts";
import { rowsInto, type ConformanceRow } from "../conformance-row.ts";
import { METADATA_IPV4, NODE_ADDRESS, ROLE_LIST, type ShimWorld } from "../shim-world.ts";
import { statusOfAll, TOKEN, TOKEN_PATH, TTL } from "../replies.ts";
import { credentialsAt, CREDENTIALS, get, put } from "./ask.ts";
import { A, B, TWINS } from "./pods.ts";

export const processRows: ConformanceRow[] = [];
const row = rowsInto(processRows);

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
row(94, "SIGTERM during requests: unready, answered, ended in 10 s; rules stay", async (world) => {
  const rules = await putInRules();
  try {
    const shim = world.spawn(["--app-port=8081", "--admin-port=8082"]);
    const exited = once(shim, "exit");
    await until("it is ready", async () => {
      assert.equal(shim.exitCode, null);
      return readiness(8082).then(
        ({ status }) => status === 200,
        () => false,
      );
    });
    const token = await world.token(A);
    world.api.hang(true);
    const before = readsOf(world);
    const asking = world.ask({ from: A, port: 8081, path: CREDENTIALS, headers: token });
    await until("it is on its way", () => readsOf(world) > before);
    const stoppedMs = performance.now();
    shim.kill("SIGTERM");
    await until("it is unready", async () => (await readiness(8082)).body === "draining\n");
    world.api.hang(false);
    assert.equal((await asking).status, 200);
    assert.deepEqual(await exited, [0, null]);
    assert.ok(performance.now() - stoppedMs < 10_000);
    const gone = world.ask({ from: A, port: 8081, path: "/" });
    await assert.rejects(gone, { code: "ECONNREFUSED" });
    assert.equal(await rules.saved(), rules.before);
  } finally {
    world.api.hang(false);
    await rules.remove();
  }
});

function readiness(port: number): Promise<Reply> {
  return ask({ host: "127.0.0.1", port, path: "/readyz" });
}

async function run(program: string, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(program, args)).stdout;
}

/** How often the API server was asked for anything. */
function readsOf({ api }: ShimWorld): number {
  return api.requests.filter((request) => request.startsWith("GET ")).length;
}

/** Rules in the world's namespace, by the command that puts them in. */
async function putInRules(): Promise<{
  readonly before: string;
  saved(): Promise<string>;
  remove(): Promise<unknown>;
}> {
  const irsa = fileURLToPath(new URL("../../../cli/main.ts", import.meta.url));
  const saved = async (): Promise<string> =>
    (await run("iptables-nft-save")).replaceAll(/^#.*\n|\[\d+:\d+\]/gm, "");
  const backend = "--iptables-backend=nft";
  const place = ["--host-ip", NODE_ADDRESS];
  await run(process.execPath, irsa, "shim", "rules", "apply", backend, ...place);
  const before = await saved();
  assert.match(before, /-A IRSA-METADATA .*-j DNAT/);
  assert.match(before, /-A IRSA-METADATA .*-j REJECT/);
  const remove = ["shim", "rules", "remove"];
  return { before, saved, remove: () => run(process.execPath, irsa, ...remove) };
}
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
  assert.equal((await readiness(shim.adminPort)).status, 503);
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
