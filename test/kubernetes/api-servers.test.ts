import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import type { ApiServer } from "./api-server.ts";
import { missingComponents } from "./components.ts";
import { startControlPlane, type ControlPlane } from "./control-plane.ts";
import { createServiceAccountKey } from "./credentials.ts";
import { freePort } from "./free-port.ts";
import { createKubeClients } from "./kube-clients.ts";
import { LOOPBACK } from "./network.ts";
import { requestToken } from "./service-accounts.ts";

const skip = (await missingComponents(process.env)) ?? false;
const [oldKey, newKey] = await Promise.all([createServiceAccountKey(), createServiceAccountKey()]);

describe("an API server whose port is taken", { skip }, () => {
  it("starts on another", async () => {
    const taken = createServer();
    taken.listen({ port: 0, host: "127.0.0.1" });
    await once(taken, "listening");
    const { port } = taken.address() as AddressInfo;
    const free = await freePort(["127.0.0.1"]);
    const picks = [port, free];
    try {
      await using plane = await startControlPlane({
        network: { ...LOOPBACK, pickPort: async () => picks.shift() ?? 0 },
      });
      assert.equal(plane.url, `https://127.0.0.1:${free}`);
    } finally {
      taken.close();
    }
  });
});

// The first knows only the old key, the second both: what a rotation looks like half-way.
describe("API servers on one etcd", { skip }, () => {
  let plane: ControlPlane;
  before(async () => {
    plane = await startControlPlane({
      apiServers: [
        { signingKeyPem: oldKey },
        { signingKeyPem: newKey, verificationKeysPem: [newKey, oldKey] },
        { signingKeyPem: oldKey },
      ],
    });
    await plane.createServiceAccount("apps", "reader");
  });
  after(() => plane[Symbol.asyncDispose]());

  it("share what is stored", async () => {
    const where = { namespace: "apps", name: "reader" };
    const [first, second] = await Promise.all(
      plane.apiServers.map(({ admin }) => admin.core.readNamespacedServiceAccount(where)),
    );
    assert.equal(first?.metadata?.uid, second?.metadata?.uid);
  });

  it("publish each the keys of its own files", async () => {
    const [first = [], second = []] = await Promise.all(plane.apiServers.map(kidsOf));
    assert.deepEqual([first.length, second.length], [1, 2]);
    assert.ok(second.includes(first[0] ?? ""));
  });

  for (const [signer, takers] of [
    [0, [true, true]],
    [1, [false, true]],
  ] as const) {
    it(`take a token of number ${signer} where its key is known: ${takers.join(", ")}`, async () => {
      const servers = plane.apiServers.slice(0, 2);
      const core = servers[signer]?.admin.core;
      assert.ok(core);
      const { token } = await requestToken(core, { namespace: "apps", serviceAccount: "reader" });
      assert.deepEqual(
        await Promise.all(servers.map((server) => isTakenBy(server, token))),
        takers,
      );
    });
  }

  it("are all in the EndpointSlice default/kubernetes, which the API could not store", async () => {
    const where = { namespace: "default", name: "kubernetes" };
    const slice = await plane.admin.discovery.readNamespacedEndpointSlice(where);
    assert.deepEqual(slice.metadata?.labels, { "kubernetes.io/service-name": "kubernetes" });
    assert.equal(slice.addressType, "IPv4");
    assert.deepEqual(
      slice.endpoints?.map(({ addresses, conditions }) => [addresses, conditions?.ready]),
      [
        [["127.0.0.1"], true],
        [["127.0.0.2"], true],
        [["127.0.0.3"], true],
      ],
    );
    const port = Number(new URL(plane.url).port);
    assert.deepEqual(
      slice.ports?.map((served) => [served.name, served.port, served.protocol]),
      [["https", port, "TCP"]],
    );

    slice.metadata = { name: "copy", namespace: "default" };
    await assert.rejects(
      plane.admin.discovery.createNamespacedEndpointSlice({ namespace: "default", body: slice }),
      { code: 422, message: /may not be in the loopback range/ },
    );
  });

  it("can be stopped, and started at the same address with another key", async () => {
    const [first, , third] = plane.apiServers;
    assert.ok(third);
    const [oldKid] = await kidsOf(first);

    await third.stop();
    assert.equal(third.isRunning, false);
    await assert.rejects(third.getRaw("/readyz"), { code: "ECONNREFUSED" });
    assert.deepEqual(await addressesOf(plane), ["127.0.0.1", "127.0.0.2"]);

    await third.start({ signingKeyPem: newKey });
    assert.deepEqual(await addressesOf(plane), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    const kids = await kidsOf(third);
    assert.equal(kids.length, 1);
    assert.notEqual(kids[0], oldKid);
    await assert.rejects(third.start(), /to be stopped before it starts/);
  });

  async function isTakenBy({ url }: ApiServer, token: string): Promise<boolean> {
    const { authentication } = createKubeClients({ url, caPem: plane.caPem }, "reader", { token });
    return authentication.createSelfSubjectReview({ body: {} }).then(
      () => true,
      (err: { code?: number }) => {
        assert.equal(err.code, 401);
        return false;
      },
    );
  }
});

async function kidsOf(server: ApiServer): Promise<string[]> {
  const { keys } = JSON.parse((await server.getRaw("/openid/v1/jwks")).body) as {
    keys: { kid: string }[];
  };
  return keys.map(({ kid }) => kid);
}

async function addressesOf({ admin }: ControlPlane): Promise<string[] | undefined> {
  const where = { namespace: "default", name: "kubernetes" };
  const { endpoints } = await admin.discovery.readNamespacedEndpointSlice(where);
  return endpoints?.flatMap(({ addresses }) => addresses);
}
