import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { GetRoleCommand } from "@aws-sdk/client-iam";
import { GetCallerIdentityCommand, STSClient } from "@aws-sdk/client-sts";
import { registerCluster } from "./fixtures/cluster.ts";
import { httpsCall } from "./fixtures/https-call.ts";
import { startIssuer } from "./fixtures/issuer-server.ts";
import { wireErrorOf } from "./fixtures/rejection.ts";
import { iamClient, sdkSettings, stsClient } from "./fixtures/sdk-clients.ts";
import { newSigningKey } from "./fixtures/signing-keys.ts";
import { startAws } from "./start-aws.ts";

// What can be made to go wrong, and what an unmodified SDK makes of it.
const sleptMs: number[] = [];
const clock = {
  now: () => Date.now(),
  sleep: (ms: number) => {
    sleptMs.push(ms);
    return Promise.resolve();
  },
};
const resources = new AsyncDisposableStack();
after(() => resources.disposeAsync());
const issuer = resources.use(await startIssuer());
const aws = resources.use(await startAws({ clock, trustCaPems: [issuer.authority.cert] }));
const key = newSigningKey("RS256");
issuer.publish([key.jwk]);
const nowSeconds = Math.floor(Date.now() / 1000);
const cluster = await registerCluster(aws, { issuer: issuer.url, key, nowSeconds, role: "app" });

const whoAmI = (): Promise<unknown> => stsClient(aws).send(new GetCallerIdentityCommand({}));

function post(body: string): Promise<Response> {
  return fetch(aws.control, { method: "POST", body, headers: { connection: "close" } });
}

describe("faults", () => {
  it("throttling hits so many calls", async () => {
    aws.set({ faults: { throttles: 2 } });
    for (const _ of [1, 2]) {
      const { code, status } = await wireErrorOf(whoAmI());
      assert.deepEqual([code, status], ["Throttling", 400]);
    }
    await whoAmI();
  });

  it("server errors have each service's code", async () => {
    aws.set({ faults: { serverErrors: 2 } });
    const sts = await wireErrorOf(whoAmI());
    const iam = await wireErrorOf(iamClient(aws).send(new GetRoleCommand({ RoleName: "app" })));
    assert.deepEqual([sts.code, sts.status], ["InternalFailure", 500]);
    assert.deepEqual([iam.code, iam.status], ["ServiceFailure", 500]);
    await whoAmI();
  });

  it("IDPCommunicationError hits web identity calls only", async () => {
    aws.set({ faults: { idpCommunicationErrors: 1 } });
    await whoAmI();
    const { code, status } = await wireErrorOf(cluster.exchange());
    assert.deepEqual([code, status], ["IDPCommunicationError", 400]);
    assert.ok((await cluster.exchange()).Credentials);
  });

  it("connections are cut without an answer", async () => {
    aws.set({ faults: { droppedConnections: 1 } });
    const path = "/?Action=GetCallerIdentity&Version=2011-06-15";
    await assert.rejects(httpsCall(aws, { method: "GET", path }));
    assert.equal(aws.calls().at(-1)?.code, "ConnectionDropped");
    await whoAmI();
  });

  it("latency delays each answer", async () => {
    aws.set({ faults: { latencyMs: 250 } });
    sleptMs.length = 0;
    await whoAmI();
    assert.deepEqual(sleptMs, [250]);
    aws.set({ faults: {} });
    await whoAmI();
    assert.deepEqual(sleptMs, [250]);
  });

  it("hit only the actions that are named", async () => {
    aws.set({ faults: { actions: ["AssumeRoleWithWebIdentity"], serverErrors: 1, latencyMs: 5 } });
    sleptMs.length = 0;
    await whoAmI();
    assert.deepEqual(sleptMs, []);
    assert.equal((await wireErrorOf(cluster.exchange())).code, "InternalFailure");
    assert.deepEqual(sleptMs, [5]);
  });

  it("are overcome by an SDK that retries, and every try is logged", async () => {
    aws.set({ faults: { throttles: 1, serverErrors: 1 } });
    const before = aws.calls().length;
    const sts = new STSClient({ ...sdkSettings(aws), maxAttempts: 3 });
    await sts.send(new GetCallerIdentityCommand({}));
    const tries = aws.calls().slice(before);
    assert.deepEqual(
      tries.map(({ action, code, status }) => [action, code, status]),
      [
        ["GetCallerIdentity", "Throttling", 400],
        ["GetCallerIdentity", "InternalFailure", 500],
        ["GetCallerIdentity", "OK", 200],
      ],
    );
    assert.equal(tries.at(-1)?.principal, "arn:aws:iam::111122223333:user/administrator");
  });

  it("a clock offset ages tokens", async () => {
    aws.set({ clockOffsetSeconds: 3600 + 200 });
    assert.ok((await cluster.exchange()).Credentials, "within the skew of five minutes");
    aws.set({ clockOffsetSeconds: 3600 + 400 });
    assert.equal((await wireErrorOf(cluster.exchange())).code, "ExpiredTokenException");
    aws.set({ clockOffsetSeconds: -400 });
    const early = await wireErrorOf(cluster.exchange());
    assert.match(early.message, /^Token issued in the future: /);
    aws.set({ clockOffsetSeconds: 0 });
    assert.ok((await cluster.exchange()).Credentials);
  });
});

describe("control", () => {
  it("takes the same changes over HTTP", async () => {
    const res = await post('{"faults":{"throttles":1},"clockOffsetSeconds":1.5}');
    assert.deepEqual([res.status, await res.json()], [200, {}]);
    assert.equal((await wireErrorOf(whoAmI())).code, "Throttling");
    await (await post('{"clockOffsetSeconds":0}')).text();
    await whoAmI();
  });

  for (const [name, body, wanted] of [
    ["cut-off JSON", '{"faults":', /expected a JSON object/],
    ["a list", "[]", /expected object/],
    ["an unknown key", '{"clock":1}', /"clock"[^]*Give any of clockOffsetSeconds, resolve, faults/],
    ["an unknown fault", '{"faults":{"latency":5}}', /"latency"/],
    ["a negative count", '{"faults":{"throttles":-1}}', /whole number >= 0[^]*faults\.throttles/],
    ["half a throttle", '{"faults":{"throttles":0.5}}', /whole number >= 0/],
    ["text as offset", '{"clockOffsetSeconds":"1"}', /number of seconds/],
    ["a name without a port", '{"resolve":{"a.example":"127.0.0.1"}}', /HOST:PORT/],
    ["a port of 0", '{"resolve":{"a.example":"127.0.0.1:0"}}', /HOST:PORT/],
    ["no certificate", '{"trustCaPem":"x"}', /certificates in PEM/],
    [
      "two mistakes are named at once",
      '{"faults":{"throttles":-1},"clockOffsetSeconds":true}',
      /number of seconds[^]*throttles/,
    ],
  ] as const) {
    it(`${name}: 400 with what is wanted, and nothing is changed`, async () => {
      const res = await post(body);
      assert.equal(res.status, 400);
      const { code, message } = (await res.json()) as { code: string; message: string };
      assert.equal(code, "INPUT_INVALID");
      assert.match(message, wanted);
      await whoAmI();
    });
  }

  it("tells the calls so far", async () => {
    await whoAmI();
    const res = await fetch(aws.control, { headers: { connection: "close" } });
    assert.match(res.headers.get("content-type") ?? "", /^application\/json/);
    const { calls } = (await res.json()) as { calls: readonly unknown[] };
    assert.deepEqual(calls, JSON.parse(JSON.stringify(aws.calls())));
  });

  it("answers other methods with 405", async () => {
    const res = await fetch(aws.control, { method: "DELETE", headers: { connection: "close" } });
    assert.deepEqual([res.status, res.headers.get("allow")], [405, "GET, POST"]);
    await res.text();
  });

  it("set throws the same refusal in-process", () => {
    const bad = JSON.parse('{"clock":1}') as object;
    assert.throws(() => aws.set(bad), { code: "INPUT_INVALID" });
  });
});
