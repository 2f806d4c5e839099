import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startAgent, type FakeClusterApi } from "../../test/fakes/agent-world.ts";
import { allowEveryPod } from "../../test/fakes/given-role.ts";
import type { Caller } from "../caller/caller.ts";

describe("container credentials", () => {
  it("are those of the pod of the token, as AWS's agent gives them", async () => {
    await using world = await startAgent();
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
      await using world = await startAgent();
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
      await using world = await startAgent();
      assert.equal((await world.ask({ host, authorization: world.token() })).status, 200);
    });
  }

  it("are not given at another host, nor at another path", async () => {
    await using world = await startAgent();
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

describe("the pod of a token", () => {
  const CASES: readonly (readonly [name: string, change: (api: FakeClusterApi) => void])[] = [
    ["is gone", (api) => api.pods.clear()],
    ["was replaced by another of its name", (api) => api.putPod({ uid: "other" })],
    ["runs on another node", (api) => api.putPod({ nodeName: "node-2" })],
    ["has finished", (api) => api.putPod({ phase: "Succeeded" })],
  ];
  for (const [name, change] of CASES) {
    it(`that ${name} gets nothing, at the latest after ten seconds`, async () => {
      await using world = await startAgent();
      assert.equal((await world.ask({ authorization: world.token() })).status, 200);
      change(world.api);
      world.clock.advance(10_000);
      const reply = await world.ask({ authorization: world.token() });
      assert.equal(reply.status, 400);
      assert.match(reply.body, /\(InvalidTokenException\)/);
    });
  }

  it("is read once for all who ask at the same time", async () => {
    await using world = await startAgent();
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
    await using world = await startAgent({ decideRole: decided("none") });
    const reply = await world.ask({ authorization: world.token() });
    assert.equal(reply.status, 404);
    assert.match(reply.body, /^\[[0-9a-f-]{36}\]: \(ResourceNotFoundException\): .*ns\/app/);
  });

  it("a policy that says no is told, here and to the operator", async () => {
    await using world = await startAgent({ decideRole: decided("forbidden") });
    const reply = await world.ask({ authorization: world.token() });
    assert.equal(reply.status, 400);
    assert.match(reply.body, /\(AccessDeniedException\): a reason, fault: client/);
    assert.deepEqual(world.forbidden, ["a reason"]);
  });

  it("a role that is not known now is 503", async () => {
    await using world = await startAgent({ decideRole: decided("unavailable") });
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
      await using world = await startAgent({
        obtain: async () => ({ status: "failed", ...failure }),
      });
      const reply = await world.ask({ authorization: world.token() });
      assert.equal(reply.status, status);
      assert.match(reply.body, new RegExp(`\\(${code}\\): Code: a sentence`));
    });
  }

  it("a ServiceAccount whose UID is not known gives nothing now", async () => {
    let asked = 0;
    const known = await allowEveryPod("arn:aws:iam::111122223333:role/app")(NOBODY);
    assert.ok(known.status === "allowed");
    await using world = await startAgent({
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
    await using world = await startAgent();
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
