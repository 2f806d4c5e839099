import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Registry } from "prom-client";
import type { KubeAnswer, KubeRequest } from "../../lib/kube/transport.ts";
import { newSigningKey, signToken, type SigningKey } from "../../test/aws/fixtures/signing-keys.ts";
import { ask, type Reply } from "../../test/fakes/ask.ts";
import { createCollectedLog } from "../../test/fakes/collected-log.ts";
import { allowEveryPod, giveEveryPod } from "../../test/fakes/given-role.ts";
import { createMovedClock, type MovedClock } from "../../test/fakes/moved-clock.ts";
import type { Caller } from "../caller/caller.ts";
import { createMetrics } from "../metrics.ts";
import { servePods } from "../server.ts";
import { createContainerCredentialsApp, type ContainerCredentialsDeps } from "./app.ts";
import { AGENT_HOSTS } from "./answers.ts";
import { ClusterKeys } from "./cluster-keys.ts";
import { createLifeOfPod } from "./life-of-pod.ts";
import { createTokenVerifier } from "./token-verifier.ts";

const AUDIENCE = "pods.eks.amazonaws.com";
const NODE = "node-1";
const key = newSigningKey("RS256", "first");
const otherKey = newSigningKey("ES256", "second");

type Claims = Readonly<Record<string, unknown>>;

/** An API server that publishes keys and has pods, and can be out of order. */
class FakeApi {
  keys: readonly SigningKey[] = [key];
  isDown = false;
  requests: string[] = [];
  readonly pods = new Map<string, object>();

  constructor() {
    this.putPod({});
  }

  putPod({ uid = "pod-uid", nodeName = NODE, phase = "Running" }): void {
    const pod = { metadata: { uid }, spec: { nodeName, hostNetwork: true }, status: { phase } };
    this.pods.set("/api/v1/namespaces/ns/pods/app-0", pod);
  }

  async request({ path }: KubeRequest): Promise<KubeAnswer> {
    this.requests.push(path);
    if (this.isDown) throw new Error("the API server is down");
    const body =
      path === "/openid/v1/jwks" ? { keys: this.keys.map(({ jwk }) => jwk) } : this.pods.get(path);
    return { status: body === undefined ? 404 : 200, headers: {}, body };
  }
}

interface World extends AsyncDisposable {
  readonly clock: MovedClock;
  readonly api: FakeApi;
  readonly forbidden: readonly string[];
  readonly lines: ReturnType<typeof createCollectedLog>["lines"];
  token(claims?: Claims, signer?: SigningKey): string;
  ask(headers: Readonly<Record<string, string>>, path?: string, method?: string): Promise<Reply>;
}

async function start(changes: Partial<ContainerCredentialsDeps> = {}): Promise<World> {
  const clock = createMovedClock();
  const api = new FakeApi();
  const { log, lines } = createCollectedLog();
  const forbidden: string[] = [];
  const nowSeconds = clock.now() / 1000;
  const keys = new ClusterKeys({ connection: api, timeoutMs: 1000, clock, log });
  const app = createContainerCredentialsApp({
    hosts: new Set(AGENT_HOSTS),
    verifyToken: createTokenVerifier({ keys, audience: AUDIENCE, clock }),
    lifeOfPod: createLifeOfPod({ connection: api, nodeName: NODE, timeoutMs: 1000, clock }),
    decideRole: allowEveryPod("arn:aws:iam::111122223333:role/team/app"),
    obtain: giveEveryPod(clock, ({ podUid }) => podUid),
    onForbidden: (_caller, reason) => forbidden.push(reason),
    log,
    metrics: createMetrics(new Registry()),
    ...changes,
  });
  const server = await servePods(app, {
    port: 0,
    host: "127.0.0.1",
    drainMs: 100,
    onRefusedConnection: () => {},
  });
  return {
    clock,
    api,
    forbidden,
    lines,
    token: (claims = {}, signer = key) =>
      signToken(
        signer,
        { alg: signer.algorithm, kid: signer.jwk["kid"] },
        {
          iss: "https://issuer.example",
          sub: "system:serviceaccount:ns:app",
          aud: [AUDIENCE],
          iat: nowSeconds,
          nbf: nowSeconds,
          exp: nowSeconds + 3600,
          "kubernetes.io": {
            namespace: "ns",
            serviceaccount: { name: "app", uid: "sa-uid" },
            pod: { name: "app-0", uid: "pod-uid" },
          },
          ...claims,
        },
      ),
    ask: (headers, path = "/v1/credentials", method = "GET") =>
      ask({
        host: "127.0.0.1",
        port: server.port,
        method,
        path,
        headers: { host: "169.254.170.23", ...headers },
      }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

describe("container credentials", () => {
  it("are those of the pod of the token, as AWS's agent gives them", async () => {
    await using world = await start();
    const reply = await world.ask({ authorization: world.token() });
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["content-type"], "application/json");
    assert.deepEqual(JSON.parse(reply.body), {
      AccessKeyId: "ASIApod-uid",
      SecretAccessKey: "secret",
      Token: "session",
      AccountId: "111122223333",
      Expiration: "2026-01-01T01:00:00Z",
    });
  });

  for (const method of ["GET", "HEAD", "POST", "PUT"]) {
    it(`are given to ${method}`, async () => {
      await using world = await start();
      const reply = await world.ask({ authorization: world.token() }, undefined, method);
      assert.equal(reply.status, 200);
    });
  }

  for (const host of [
    "169.254.170.23",
    "169.254.170.23:80",
    "[fd00:ec2::23]",
    "[fd00:ec2::23]:80",
  ]) {
    it(`are given at ${host}`, async () => {
      await using world = await start();
      assert.equal((await world.ask({ host, authorization: world.token() })).status, 200);
    });
  }

  it("are not given at another host, nor at another path", async () => {
    await using world = await start();
    const foreign = await world.ask({ host: "evil.example:80", authorization: world.token() });
    assert.equal(foreign.status, 403);
    assert.equal(
      foreign.body,
      "Access Denied. Called agent through invalid address, please use either [169.254.170.23 fd00:ec2::23] address not evil.example\n",
    );
    const elsewhere = await world.ask({ authorization: world.token() }, "/v1/credentials/");
    assert.equal(elsewhere.status, 404);
  });
});

describe("a token", () => {
  const CASES: readonly (readonly [
    name: string,
    authorization: (world: World) => string,
    status: number,
    body: RegExp,
  ])[] = [
    ["that is missing", () => "", 400, /^Service account token cannot be empty\n$/],
    ["that is none", () => "abc", 400, /^Service account token cannot be parsed: /],
    [
      "that has expired",
      (world) => world.token({ exp: world.clock.now() / 1000 - 11 }),
      400,
      /^Service account token failed basic claim validations: token is expired\n$/,
    ],
    [
      "that is not valid yet",
      (world) => world.token({ nbf: world.clock.now() / 1000 + 11 }),
      400,
      /^Service account token failed basic claim validations: token is not valid yet\n$/,
    ],
    [
      "for another audience",
      (world) => world.token({ aud: ["sts.amazonaws.com"] }),
      400,
      /\(InvalidTokenException\): .*"aud".*, fault: client\n$/,
    ],
    [
      "that never ends",
      (world) => world.token({ exp: undefined }),
      400,
      /\(InvalidTokenException\): .*"exp"/,
    ],
    [
      "of a key that is not the cluster's",
      (world) => world.token({}, otherKey),
      400,
      /\(InvalidTokenException\): .*not signed with a key of this cluster/,
    ],
    [
      "with another signature",
      (world) => `${world.token().split(".").slice(0, 2).join(".")}.${"A".repeat(342)}`,
      400,
      /\(InvalidTokenException\): .*signature is wrong/,
    ],
    [
      "without a signature",
      (world) =>
        `${Buffer.from('{"alg":"none"}').toString("base64url")}.${world.token().split(".")[1]}.`,
      400,
      /\(InvalidTokenException\)/,
    ],
    [
      "that is bound to no pod",
      (world) =>
        world.token({
          "kubernetes.io": { namespace: "ns", serviceaccount: { name: "app", uid: "sa-uid" } },
        }),
      400,
      /\(InvalidTokenException\): .*not bound to a pod/,
    ],
    [
      "whose subject is another ServiceAccount",
      (world) => world.token({ sub: "system:serviceaccount:ns:admin" }),
      400,
      /\(InvalidTokenException\): .*subject/,
    ],
  ];
  for (const [name, authorization, status, body] of CASES) {
    it(`${name} gives nothing`, async () => {
      await using world = await start();
      const written = authorization(world);
      const reply = await world.ask({ authorization: written });
      assert.equal(reply.status, status);
      assert.match(reply.body, body);
      assert.ok(written === "" || !JSON.stringify(world.lines).includes(written));
    });
  }

  it("of a new key is good as soon as the API server publishes it", async () => {
    await using world = await start();
    assert.equal((await world.ask({ authorization: world.token() })).status, 200);
    world.api.keys = [key, otherKey];
    const renewed = world.token({}, otherKey);
    assert.equal((await world.ask({ authorization: renewed })).status, 400);
    world.clock.advance(10_000);
    assert.equal((await world.ask({ authorization: renewed })).status, 200);
  });

  it("of unknown keys does not make the API server work for each", async () => {
    await using world = await start();
    for (let i = 0; i < 20; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await world.ask({ authorization: world.token({ jti: String(i) }, otherKey) });
    }
    assert.deepEqual(world.api.requests, ["/openid/v1/jwks"]);
  });

  it("of a key that is published no more ends with it, also when it was good before", async () => {
    await using world = await start();
    const authorization = world.token();
    assert.equal((await world.ask({ authorization })).status, 200);
    world.api.keys = [otherKey];
    world.clock.advance(5 * 60_000);
    // The first who comes later starts the reading, and does not wait for it.
    await world.ask({ authorization });
    assert.equal((await world.ask({ authorization })).status, 400);
  });

  it("is good while the API server is down, once the keys and the pod are known", async () => {
    await using world = await start();
    world.api.isDown = true;
    const before = await world.ask({ authorization: world.token() });
    assert.equal(before.status, 503);
    assert.match(before.body, /\(ServiceUnavailableException\)/);
    world.api.isDown = false;
    world.clock.advance(10_000);
    assert.equal((await world.ask({ authorization: world.token() })).status, 200);
    world.api.isDown = true;
    world.clock.advance(60_000);
    assert.equal((await world.ask({ authorization: world.token() })).status, 200);
    world.clock.advance(10 * 60_000);
    assert.equal((await world.ask({ authorization: world.token() })).status, 503);
  });
});

describe("the pod of a token", () => {
  const CASES: readonly (readonly [name: string, change: (api: FakeApi) => void])[] = [
    ["is gone", (api) => api.pods.clear()],
    ["was replaced by another of its name", (api) => api.putPod({ uid: "other" })],
    ["runs on another node", (api) => api.putPod({ nodeName: "node-2" })],
    ["has finished", (api) => api.putPod({ phase: "Succeeded" })],
  ];
  for (const [name, change] of CASES) {
    it(`that ${name} gets nothing, at the latest after ten seconds`, async () => {
      await using world = await start();
      assert.equal((await world.ask({ authorization: world.token() })).status, 200);
      change(world.api);
      world.clock.advance(10_000);
      const reply = await world.ask({ authorization: world.token() });
      assert.equal(reply.status, 400);
      assert.match(reply.body, /\(InvalidTokenException\)/);
    });
  }

  it("is read once for all who ask at the same time", async () => {
    await using world = await start();
    const authorization = world.token();
    await world.ask({ authorization });
    const before = world.api.requests.length;
    await Promise.all(Array.from({ length: 50 }, () => world.ask({ authorization })));
    assert.equal(world.api.requests.length, before);
  });
});

const NOBODY: Caller = {
  podUid: "",
  podName: "",
  namespace: "",
  serviceAccount: "",
  address: "",
  podAnnotations: {},
};

const decided = (status: "none" | "forbidden" | "unavailable") => async () =>
  status === "none" ? ({ status } as const) : ({ status, reason: "a reason" } as const);

describe("what else can be wrong", () => {
  it("a ServiceAccount without a role is what EKS calls no association", async () => {
    await using world = await start({ decideRole: decided("none") });
    const reply = await world.ask({ authorization: world.token() });
    assert.equal(reply.status, 404);
    assert.match(reply.body, /^\[[0-9a-f-]{36}\]: \(ResourceNotFoundException\): .*ns\/app/);
  });

  it("a policy that says no is told, here and to the operator", async () => {
    await using world = await start({ decideRole: decided("forbidden") });
    const reply = await world.ask({ authorization: world.token() });
    assert.equal(reply.status, 400);
    assert.match(reply.body, /\(AccessDeniedException\): a reason, fault: client/);
    assert.deepEqual(world.forbidden, ["a reason"]);
  });

  it("a role that is not known now is 503", async () => {
    await using world = await start({ decideRole: decided("unavailable") });
    assert.equal((await world.ask({ authorization: world.token() })).status, 503);
  });

  for (const [kind, status, code] of [
    ["refused", 400, "AccessDeniedException"],
    ["throttled", 429, "ThrottlingException"],
    ["unavailable", 503, "ServiceUnavailableException"],
    ["token-missing", 503, "ServiceUnavailableException"],
  ] as const) {
    it(`credentials that are ${kind} are ${status} ${code}`, async () => {
      const failure = { kind, code: "Code", message: "a sentence" };
      await using world = await start({ obtain: async () => ({ status: "failed", ...failure }) });
      const reply = await world.ask({ authorization: world.token() });
      assert.equal(reply.status, status);
      assert.match(reply.body, new RegExp(`\\(${code}\\): Code: a sentence`));
    });
  }

  it("a ServiceAccount whose UID is not known gives nothing now", async () => {
    let asked = 0;
    const known = await allowEveryPod("arn:aws:iam::111122223333:role/app")(NOBODY);
    assert.ok(known.status === "allowed");
    await using world = await start({
      decideRole: async () => ({ ...known, serviceAccountUid: undefined }),
      obtain: async () => {
        asked += 1;
        return { status: "failed", kind: "unavailable", code: "Code", message: "asked" };
      },
    });
    const reply = await world.ask({ authorization: world.token() });
    assert.equal(reply.status, 503);
    assert.match(reply.body, /\(ServiceUnavailableException\)/);
    const problem = "the UID of its ServiceAccount is not known";
    assert.ok(world.lines.some((line) => line["problem"] === problem));
    assert.equal(asked, 0);
  });

  it("a ServiceAccount of the same name that was made later is another one", async () => {
    await using world = await start();
    const authorization = world.token({
      "kubernetes.io": {
        namespace: "ns",
        serviceaccount: { name: "app", uid: "older" },
        pod: { name: "app-0", uid: "pod-uid" },
      },
    });
    assert.equal((await world.ask({ authorization })).status, 400);
  });
});
