import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connect } from "../lib/kube/connection.ts";
import {
  createFakeCluster,
  endpointSlicesAnswer,
  jwksAnswer,
  servedKey,
  type FakeAnswer,
  type FakeCluster,
  type KeyApiServer,
} from "../test/fakes/key-api-server.ts";
import { apiServerSource, discoveredApiServers, type KubeRequester } from "./api-servers.ts";

const timeoutMs = 5000;
const { signal } = new AbortController();
const key = servedKey("a");

let cluster: FakeCluster;
let server: KeyApiServer;
let kube: KubeRequester;

before(async () => {
  cluster = await createFakeCluster();
  server = await cluster.startServer();
  kube = connect({ kubeconfig: await cluster.kubeconfigFor(server) });
});
after(() => cluster[Symbol.asyncDispose]());

const poll = (options: { timeoutMs: number } = { timeoutMs }) => {
  const { url } = server;
  const asked = { url, serverName: "kubernetes.default.svc" };
  return apiServerSource(kube, asked, options).poll(signal);
};

describe("apiServerSource", () => {
  it("gives the keys that STS can use, and why the others are left out", async () => {
    server.jwks = jwksAnswer(
      { ...key, key_ops: ["verify"], d: "AA" },
      { kty: "OKP", crv: "Ed25519", kid: "b", x: "AA" },
      "nonsense",
    );
    assert.deepEqual(await poll(), {
      keys: [key],
      filtered: [
        { reason: "unsupported_kty", detail: 'kty "OKP", crv "Ed25519"' },
        { reason: "malformed", detail: "not a JWK" },
      ],
    });
    const { method, url, authorization } = server.requests.at(-1) ?? {};
    assert.deepEqual(
      [method, url, authorization],
      ["GET", "/openid/v1/jwks", `Bearer ${cluster.token}`],
    );
  });

  const json = "application/json";
  for (const [name, answer, reason, message] of [
    ["no key", jwksAnswer(), "empty", /expected a key that STS accepts, got none/],
    [
      "only keys that STS cannot use",
      jwksAnswer({ kty: "OKP", crv: "Ed25519", kid: "b" }),
      "empty",
      /got unsupported_kty \(kty "OKP", crv "Ed25519"\)/,
    ],
    ["garbage", { kind: "text", text: "<html>", type: json }, "unreachable", /is not JSON/],
    ["half a JSON", { kind: "text", text: '{"keys":[{', type: json }, "unreachable", /is not JSON/],
    [
      "a page of HTML",
      { kind: "text", text: "<html>", type: "text/html" },
      "invalid",
      /expected a JSON object with a list of keys/,
    ],
    ["another JSON", { kind: "json", body: { items: [] } }, "invalid", /a list of keys/],
    ["null", { kind: "json", body: null }, "invalid", /a list of keys/],
    ["401", { kind: "status", status: 401 }, "refused", /expected HTTP 200, got 401/],
    ["403", { kind: "status", status: 403 }, "refused", /expected HTTP 200, got 403/],
    ["500", { kind: "status", status: 500 }, "refused", /expected HTTP 200, got 500/],
    ["nothing", { kind: "close" }, "unreachable", /Cannot GET https:\/\/127/],
  ] as const satisfies readonly (readonly [string, FakeAnswer, string, RegExp])[]) {
    it(`says why ${name} is no answer`, async () => {
      server.jwks = answer;
      const result = await poll();
      assert.ok("reason" in result);
      assert.equal(result.reason, reason);
      assert.match(result.message, message);
      assert.ok(!result.message.includes(cluster.token));
    });
  }

  it("gives up on a server that does not answer in time", async () => {
    server.jwks = { kind: "hang" };
    const result = await poll({ timeoutMs: 100 });
    assert.equal("reason" in result && result.reason, "unreachable");
  });

  it("asks no server whose certificate is for another name", async () => {
    const other = await cluster.startServer("other.example");
    other.jwks = jwksAnswer(key);
    const asked = { url: other.url, serverName: "kubernetes.default.svc" };
    const result = await apiServerSource(kube, asked, { timeoutMs }).poll(signal);
    assert.equal("reason" in result && result.reason, "unreachable");
    assert.equal(other.requests.length, 0);
  });
});

const list = () => discoveredApiServers(kube, { timeoutMs }).list(signal);
const idsOf = async () => {
  const result = await list();
  assert.ok(!("reason" in result));
  return result.map(({ id }) => id);
};
const slice = (addresses: readonly string[], more: object = {}) => ({
  endpoints: [{ addresses, ...more }],
  ports: [{ name: "https", port: 6443 }],
});
const slices = (...items: readonly object[]): FakeAnswer => ({ kind: "json", body: { items } });

it("asks for the slices of default/kubernetes only", async () => {
  server.endpointSlices = endpointSlicesAnswer(6443);
  await list();
  assert.equal(
    server.requests.at(-1)?.url,
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
  );
});

describe("discoveredApiServers", () => {
  for (const [name, items, expected] of [
    [
      "every address of every slice, once",
      [slice(["10.0.0.1", "10.0.0.2"]), slice(["10.0.0.2", "10.0.0.3"])],
      ["https://10.0.0.1:6443", "https://10.0.0.2:6443", "https://10.0.0.3:6443"],
    ],
    ["an IPv6 address", [slice(["fd00::1"])], ["https://[fd00::1]:6443"]],
    [
      "an endpoint without conditions, but none that is not ready",
      [
        slice(["10.0.0.1"], { conditions: {} }),
        slice(["10.0.0.2"], { conditions: { ready: null } }),
        slice(["10.0.0.3"], { conditions: { ready: false } }),
      ],
      ["https://10.0.0.1:6443", "https://10.0.0.2:6443"],
    ],
    [
      "the https port only",
      [
        {
          endpoints: [{ addresses: ["10.0.0.1"] }],
          ports: [
            { name: "https", port: 443 },
            { name: "konnectivity", port: 8132 },
          ],
        },
      ],
      ["https://10.0.0.1:443"],
    ],
  ] as const) {
    it(`finds ${name}`, async () => {
      server.endpointSlices = slices(...items);
      assert.deepEqual(await idsOf(), expected);
    });
  }

  for (const [name, answer, reason] of [
    ["no slice", slices(), "empty"],
    ["a slice without endpoints", slices({ endpoints: null, ports: null }), "empty"],
    ["a name for an address", slices(slice(["evil.example/"])), "invalid"],
    ["403", { kind: "status", status: 403 }, "refused"],
    ["nothing", { kind: "close" }, "unreachable"],
  ] as const satisfies readonly (readonly [string, FakeAnswer, string])[]) {
    it(`says why ${name} is no answer`, async () => {
      server.endpointSlices = answer;
      const result = await list();
      assert.equal("reason" in result && result.reason, reason);
    });
  }

  it("asks each server under the name that its certificate is for", async () => {
    server.endpointSlices = endpointSlicesAnswer(server.port);
    server.jwks = jwksAnswer(key);
    const result = await list();
    assert.ok(!("reason" in result));
    assert.deepEqual(await result[0]?.poll(signal), { keys: [key], filtered: [] });
  });
});
