import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { connect } from "../lib/kube/connection.ts";
import { createCollectedLog } from "../test/fakes/collected-log.ts";
import {
  createFakeCluster,
  type FakeCluster,
  type KeyApiServer,
} from "../test/fakes/key-api-server.ts";
import { stateWith } from "../test/fakes/key-state.ts";
import type { KubeRequester } from "./api-servers.ts";
import { formatKeyState, parseKeyState } from "./key-state-text.ts";
import { createStateConfigMap } from "./state-config-map.ts";

const ID = "irsa-system/issuer-keys";

let cluster: FakeCluster;
let server: KeyApiServer;
let kube: KubeRequester;
before(async () => {
  cluster = await createFakeCluster();
  server = await cluster.startServer();
  kube = connect({ kubeconfig: await cluster.kubeconfigFor(server) });
});
beforeEach(() => {
  server.configMaps.clear();
  server.configMapFaults.length = 0;
});
after(() => cluster[Symbol.asyncDispose]());

function createStore() {
  const { log, lines } = createCollectedLog();
  const where = { namespace: "irsa-system", name: "issuer-keys" };
  return { store: createStateConfigMap(where, { kube, timeoutMs: 5000, log }), lines };
}

function storedKids(): readonly string[] {
  const text = server.configMaps.get(ID)?.data?.["state.json"] ?? "";
  return parseKeyState(text).keys.map(({ jwk }) => jwk.kid);
}

describe("createStateConfigMap", () => {
  it("creates the ConfigMap, updates it, and reads it after a restart", async () => {
    const { store } = createStore();
    assert.equal(await store.load(), undefined);
    await store.save(stateWith("a"));
    const state = stateWith("a", "b");
    assert.equal(await store.save(state), undefined);
    assert.deepEqual(await createStore().store.load(), state);
  });

  it("keeps labels and other data", async () => {
    const labels = { app: "issuer" };
    server.configMaps.set(ID, {
      metadata: {
        name: "issuer-keys",
        namespace: "irsa-system",
        resourceVersion: "1",
        labels,
      },
      data: { note: "made by hand" },
    });
    const { store } = createStore();
    assert.equal(await store.load(), undefined);
    await store.save(stateWith("a"));
    const stored = server.configMaps.get(ID);
    assert.deepEqual(stored?.metadata["labels"], labels);
    assert.equal(stored?.data?.["note"], "made by hand");
    assert.deepEqual(storedKids(), ["a"]);
  });

  it("loses nothing when two replicas write at the same time", async () => {
    const [one, two] = [createStore().store, createStore().store];
    await Promise.all([one.load(), two.load()]);
    await Promise.all([one.save(stateWith("a")), two.save(stateWith("b"))]);
    assert.deepEqual(storedKids(), ["a", "b"]);
    const others = await one.save(stateWith("c"));
    assert.ok(others === undefined || others.keys.some(({ jwk }) => jwk.kid === "b"));
    assert.ok(["a", "b", "c"].every((kid) => storedKids().includes(kid)));
  });

  it("creates it again when somebody has deleted it", async () => {
    const { store } = createStore();
    await store.save(stateWith("a"));
    server.configMaps.clear();
    await store.save(stateWith("b"));
    assert.deepEqual(storedKids(), ["b"]);
  });

  it("takes in what is stored before it overwrites what it could not read", async () => {
    await createStore().store.save(stateWith("old"));
    const { store } = createStore();
    server.configMapFaults.push({ kind: "status", status: 403 });
    await assert.rejects(store.load(), { code: "KUBERNETES_REFUSED", message: /got HTTP 403/ });
    await store.save(stateWith("new"));
    assert.deepEqual(storedKids(), ["new", "old"]);
  });

  it("puts a text aside that is no state, in the same ConfigMap", async () => {
    const text = formatKeyState(stateWith("a")).slice(0, 50);
    server.configMaps.set(ID, {
      metadata: { name: "issuer-keys", namespace: "irsa-system", resourceVersion: "1" },
      data: { "state.json": text },
    });
    const { store, lines } = createStore();
    assert.equal(await store.load(), undefined);
    assert.deepEqual(
      lines.map(({ msg }) => msg),
      ["Put the unusable stored state aside"],
    );
    await store.save(stateWith("b"));
    assert.deepEqual(storedKids(), ["b"]);
    assert.equal(server.configMaps.get(ID)?.data?.["state.json.corrupt"], text);
  });

  it("gives up after several conflicts in a row", async () => {
    const { store } = createStore();
    await store.save(stateWith("a"));
    const conflict = { kind: "status", status: 409 } as const;
    const none = { kind: "status", status: 404 } as const;
    server.configMapFaults.push(conflict);
    for (let tries = 0; tries < 4; tries++) server.configMapFaults.push(none, conflict);
    await assert.rejects(store.save(stateWith("b")), {
      code: "KUBERNETES_REFUSED",
      message: /others changed it 5 times in a row/,
    });
    assert.deepEqual(storedKids(), ["a"]);
  });

  for (const [name, fault, code] of [
    ["403", { kind: "status", status: 403 }, "KUBERNETES_REFUSED"],
    ["no ConfigMap", { kind: "json", body: { kind: "Pod" } }, "KUBERNETES_REFUSED"],
    ["nothing", { kind: "close" }, "KUBERNETES_UNAVAILABLE"],
  ] as const) {
    it(`fails to save at ${name}, and can save later`, async () => {
      const { store } = createStore();
      await store.save(stateWith("a"));
      server.configMapFaults.push(fault);
      await assert.rejects(store.save(stateWith("b")), { code });
      assert.deepEqual(storedKids(), ["a"]);
      await store.save(stateWith("c"));
      assert.deepEqual(storedKids(), ["c"]);
    });
  }
});
