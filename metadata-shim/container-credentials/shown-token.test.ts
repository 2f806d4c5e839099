import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { clusterKey, otherKey, startAgent, type AgentWorld } from "../../test/fakes/agent-world.ts";

describe("a token", () => {
  const CASES: readonly (readonly [
    name: string,
    authorization: (world: AgentWorld) => string,
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
      await using world = await startAgent();
      const written = authorization(world);
      const reply = await world.ask({ authorization: written });
      assert.equal(reply.status, status);
      assert.match(reply.body, body);
      assert.ok(written === "" || !JSON.stringify(world.lines).includes(written));
    });
  }

  it("of a new key is good as soon as the API server publishes it", async () => {
    await using world = await startAgent();
    assert.equal((await world.ask({ authorization: world.token() })).status, 200);
    world.api.keys = [clusterKey, otherKey];
    const renewed = world.token({}, otherKey);
    assert.equal((await world.ask({ authorization: renewed })).status, 400);
    world.clock.advance(10_000);
    assert.equal((await world.ask({ authorization: renewed })).status, 200);
  });

  it("of unknown keys does not make the API server work for each", async () => {
    await using world = await startAgent();
    for (let i = 0; i < 20; i += 1) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one after the other
      await world.ask({ authorization: world.token({ jti: String(i) }, otherKey) });
    }
    assert.deepEqual(world.api.requests, ["/openid/v1/jwks"]);
  });

  it("of a key that is published no more ends with it, also when it was good before", async () => {
    await using world = await startAgent();
    const authorization = world.token();
    assert.equal((await world.ask({ authorization })).status, 200);
    world.api.keys = [otherKey];
    world.clock.advance(5 * 60_000);
    // The first who comes later starts the reading, and does not wait for it.
    await world.ask({ authorization });
    assert.equal((await world.ask({ authorization })).status, 400);
  });

  it("is good while the API server is down, once the keys and the pod are known", async () => {
    await using world = await startAgent();
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
