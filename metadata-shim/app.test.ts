import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import { ask, type Reply } from "../test/fakes/ask.ts";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import { allowEveryPod, giveEveryPod } from "../test/fakes/given-role.ts";
import { createMovedClock, type MovedClock } from "../test/fakes/moved-clock.ts";
import { servePodsHere } from "../test/fakes/serve-pods-here.ts";
import { createApp, type AppDeps, type ProtocolRules } from "./app.ts";
import type { Caller, HttpTokens } from "./caller/caller.ts";
import { METADATA_HOSTS } from "./imds/allowed-hosts.ts";
import { createMetadataTree } from "./imds/metadata-tree.ts";
import { createResourceFinder } from "./imds/resource-finder.ts";
import { TOKEN_KEY_BYTES } from "./session-token/session-token.ts";
import { createMetrics } from "./metrics.ts";
import { createSessionTokens } from "./session-token/session-tokens.ts";

const ROLE = "arn:aws:iam::111122223333:role/team/app-role";
const ROLES = "/latest/meta-data/iam/security-credentials";
const STRICT: ProtocolRules = {
  profile: "strict",
  httpTokens: "required",
  refuseForwarded: true,
};

/** A pod for some loopback addresses, which this machine has without being asked. */
const PODS: Readonly<Record<string, HttpTokens | undefined>> = {
  "127.0.0.2": undefined,
  "127.0.0.3": "optional",
  "127.0.0.4": "required",
};

interface World extends AsyncDisposable {
  readonly clock: MovedClock;
  readonly registry: Registry;
  readonly lines: ReturnType<typeof createCollectedLog>["lines"];
  readonly forbidden: readonly string[];
  asked: number;
  ask(question: {
    from?: string;
    method?: string;
    path: string;
    headers?: Record<string, string>;
    body?: string;
  }): Promise<Reply>;
  token(from?: string): Promise<string>;
}

async function start(changes: Partial<AppDeps> = {}): Promise<World> {
  const clock = createMovedClock();
  const registry = new Registry();
  const { log, lines } = createCollectedLog();
  const facts = { region: "eu-west-1" };
  const forbidden: string[] = [];
  const world = { asked: 0 };
  const app = createApp({
    rules: STRICT,
    facts,
    findResource: createResourceFinder(createMetadataTree(facts)),
    startedAtMs: clock.now(),
    sessionTokens: createSessionTokens(Buffer.alloc(TOKEN_KEY_BYTES, 1), clock),
    hosts: new Set([...METADATA_HOSTS, "127.0.0.1"]),
    identify: async (address) => {
      world.asked += 1;
      return address in PODS
        ? { status: "known", caller: callerAt(address) }
        : { status: "unknown" };
    },
    httpTokensOf: () => undefined,
    decideRole: allowEveryPod(ROLE),
    obtain: giveEveryPod(clock, ({ podName }) => podName),
    onForbidden: (_caller, reason) => forbidden.push(reason),
    clock,
    log,
    metrics: createMetrics(registry),
    ...changes,
  });
  const server = await servePodsHere(app);
  const place = { host: "127.0.0.1", port: server.port };
  const self: World = Object.assign(world, {
    clock,
    registry,
    lines,
    forbidden,
    ask: ({ from = "127.0.0.2", ...question }: Parameters<World["ask"]>[0]) =>
      ask({ ...place, from, ...question }),
    async token(from = "127.0.0.2"): Promise<string> {
      const headers = { "x-aws-ec2-metadata-token-ttl-seconds": "21600" };
      const reply = await self.ask({ from, method: "PUT", path: "/latest/api/token", headers });
      return reply.body;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  });
  return self;
}

function callerAt(address: string): Caller {
  return {
    podUid: `uid-${address}`,
    podName: `pod-${address}`,
    namespace: "ns",
    serviceAccount: "app",
    address,
    podAnnotations: {},
    httpTokens: PODS[address],
  };
}

async function statusesWithoutToken(
  httpTokens: HttpTokens,
  ofNamespace?: HttpTokens,
): Promise<readonly number[]> {
  const httpTokensOf: AppDeps["httpTokensOf"] = async (namespace) =>
    namespace === "ns" ? ofNamespace : undefined;
  await using world = await start({ rules: { ...STRICT, httpTokens }, httpTokensOf });
  const from = ["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"];
  const path = "/latest/meta-data/";
  const replies = await Promise.all(from.map((address) => world.ask({ from: address, path })));
  return replies.map(({ status }) => status);
}

const withToken = (token: string) => ({ "x-aws-ec2-metadata-token": token });

describe("the way of an SDK", () => {
  it("goes from a token to the role's name to its credentials", async () => {
    await using world = await start();
    const headers = withToken(await world.token());
    const list = await world.ask({ path: `${ROLES}/`, headers });
    assert.deepEqual([list.status, list.body], [200, "app-role"]);
    assert.equal(list.headers["x-aws-ec2-metadata-token-ttl-seconds"], "21600");
    assert.equal(list.headers["content-type"], "text/plain");
    assert.equal(list.headers["content-length"], "8");
    const got = await world.ask({ path: `${ROLES}/app-role`, headers });
    assert.equal(JSON.parse(got.body).AccessKeyId, "ASIApod-127.0.0.2");
  });

  it("tells credentials also by the whole ARN of the role", async () => {
    await using world = await start();
    const headers = withToken(await world.token());
    assert.equal((await world.ask({ path: `${ROLES}/${ROLE}`, headers })).status, 200);
    assert.equal((await world.ask({ path: `${ROLES}/${ROLE}x`, headers })).status, 404);
    assert.equal(world.forbidden.length, 1);
  });

  it("asks once who is calling, also without a session token", async () => {
    await using world = await start();
    assert.equal((await world.ask({ from: "127.0.0.3", path: `${ROLES}/app-role` })).status, 200);
    assert.equal(world.asked, 1);
  });
});

describe("session tokens", () => {
  it("are required or not by the profile, over which annotations win", async () => {
    assert.deepEqual(await statusesWithoutToken("required"), [401, 200, 401, 401]);
    assert.deepEqual(await statusesWithoutToken("optional"), [200, 200, 401, 200]);
    assert.deepEqual(await statusesWithoutToken("required", "optional"), [200, 200, 401, 401]);
    assert.deepEqual(await statusesWithoutToken("optional", "required"), [401, 200, 401, 200]);
  });

  it("are required or not without a look at the namespace, where a token or the pod says it", async () => {
    const asked: string[] = [];
    await using world = await start({
      httpTokensOf: (namespace) => {
        asked.push(namespace);
        return undefined;
      },
    });
    const path = `${ROLES}/`;
    await world.ask({ path, headers: withToken(await world.token()) });
    await world.ask({ from: "127.0.0.3", path });
    assert.deepEqual(asked, []);
    await world.ask({ path });
    assert.deepEqual(asked, ["ns"]);
  });

  it("are made, and proven, without knowing who calls", async () => {
    await using world = await start({ identify: () => new Promise(() => {}) });
    const headers = withToken(await world.token());
    assert.equal((await world.ask({ path: "/latest/meta-data/", headers })).status, 200);
  });

  it("end with their time", async () => {
    await using world = await start();
    const headers = withToken(await world.token());
    world.clock.advance(21_599_000);
    const reply = await world.ask({ path: "/", headers });
    assert.deepEqual(
      [reply.status, reply.headers["x-aws-ec2-metadata-token-ttl-seconds"]],
      [200, "1"],
    );
    world.clock.advance(1000);
    assert.equal((await world.ask({ path: "/", headers })).status, 401);
  });
});

describe("where profiles differ", () => {
  for (const [profile, wanted] of [
    ["strict", 404],
    ["kube2iam", 403],
    ["kiam", 403],
  ] as const) {
    it(`another role is ${wanted} in ${profile}`, async () => {
      await using world = await start({ rules: { ...STRICT, profile } });
      const headers = withToken(await world.token());
      const { status } = await world.ask({ path: `${ROLES}/other`, headers });
      assert.equal(status, wanted);
    });
  }

  for (const refuseForwarded of [true, false]) {
    it(`what a proxy passed on is ${refuseForwarded ? "refused" : "the proxy's own"}`, async () => {
      await using world = await start({ rules: { ...STRICT, refuseForwarded } });
      const headers = { ...withToken(await world.token()), "x-forwarded-for": "127.0.0.3" };
      const got = await world.ask({ path: `${ROLES}/app-role`, headers });
      if (refuseForwarded) assert.equal(got.status, 403);
      else assert.equal(JSON.parse(got.body).AccessKeyId, "ASIApod-127.0.0.2");
    });
  }
});

describe("what goes wrong", () => {
  it("a bug is a bare 500, and a line in the log with its cause", async () => {
    await using world = await start({ decideRole: () => Promise.reject(new Error("a bug")) });
    const headers = withToken(await world.token());
    const reply = await world.ask({ path: `${ROLES}/`, headers });
    assert.deepEqual([reply.status, reply.body], [500, ""]);
    const [line] = world.lines.filter(({ msg }) => msg === "Cannot answer");
    assert.match(JSON.stringify(line), /a bug/);
  });

  it("each refusal is logged with its reason, and never a token", async () => {
    await using world = await start({ decideRole: async () => ({ status: "none" }) });
    const token = await world.token();
    await world.ask({ path: `${ROLES}/`, headers: withToken(token) });
    await world.ask({ path: "/", headers: withToken(`${token}x`) });
    const refused = world.lines.filter(({ msg }) => msg === "Refused a request");
    assert.deepEqual(
      refused.map(({ address, status, reason }) => [address, status, reason]),
      [
        ["127.0.0.2", 404, "no-role"],
        ["127.0.0.2", 401, "session-token"],
      ],
    );
    assert.ok(!JSON.stringify(world.lines).includes(token));
  });

  it("a pod without a role still learns its region", async () => {
    await using world = await start({ decideRole: async () => ({ status: "none" }) });
    const headers = withToken(await world.token());
    const path = "/latest/dynamic/instance-identity/document";
    const { accountId, region } = JSON.parse((await world.ask({ path, headers })).body);
    assert.deepEqual([accountId, region], [null, "eu-west-1"]);
  });
});

describe("metrics", () => {
  it("count answers by what was asked for and their status", async () => {
    await using world = await start();
    await world.token();
    await world.ask({ path: `${ROLES}/` });
    await world.ask({ path: "/%", headers: withToken(await world.token()) });
    const { values } = await world.registry.getSingleMetric("irsa_shim_requests_total")!.get();
    assert.deepEqual(
      values.map(({ labels, value }) => [labels["resource"], labels["code"], value]),
      [
        ["session-token", "200", 2],
        ["role-list", "401", 1],
        ["none", "404", 1],
      ],
    );
  });
});
