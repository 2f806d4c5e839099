import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { KnownPod } from "./known-pod.ts";
import { PodIndex } from "./pod-index.ts";

function pod(name: string, uid: string, addresses: readonly string[]): KnownPod {
  return {
    uid,
    name,
    namespace: "team",
    serviceAccount: "reader",
    addresses,
    podIp: addresses[0] ?? "",
    annotations: {},
    httpTokens: undefined,
  };
}

describe("PodIndex", () => {
  it("forgets the addresses of a pod that was replaced under its name", () => {
    const index = new PodIndex();
    index.set("team", "app", pod("app", "1", ["10.1.0.2", "fd00::2"]));
    const touched = index.set("team", "app", pod("app", "2", ["10.1.0.3"]));
    assert.deepEqual([...touched].toSorted(), ["10.1.0.2", "10.1.0.3", "fd00::2"]);
    assert.deepEqual(index.at("10.1.0.2"), []);
    assert.deepEqual(index.at("fd00::2"), []);
    assert.equal(index.at("10.1.0.3")[0]?.uid, "2");
  });

  it("tells of both pods at one address", () => {
    const index = new PodIndex();
    index.set("team", "a", pod("a", "1", ["10.1.0.2"]));
    index.set("team", "b", pod("b", "2", ["10.1.0.2"]));
    assert.deepEqual(
      index.at("10.1.0.2").map(({ uid }) => uid),
      ["1", "2"],
    );
    index.set("team", "a", undefined);
    assert.deepEqual(
      index.at("10.1.0.2").map(({ uid }) => uid),
      ["2"],
    );
  });

  it("shows at each address just the pods that have it, whatever came before", () => {
    const addresses = ["10.1.0.2", "10.1.0.3", "fd00::2"];
    const change = fc.record({
      name: fc.constantFrom("a", "b", "c"),
      addresses: fc.option(fc.uniqueArray(fc.constantFrom(...addresses), { minLength: 1 })),
      replace: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change), (changes) => {
        const index = new PodIndex();
        const model = new Map<string, KnownPod>();
        for (const [i, { name, addresses: owned, replace }] of changes.entries()) {
          if (owned === null) model.delete(name);
          else model.set(name, pod(name, String(i), owned));
          if (replace) index.replace(model.values());
          else index.set("team", name, model.get(name));
          for (const address of addresses) {
            assert.deepEqual(
              new Set(index.at(address)),
              new Set([...model.values()].filter((known) => known.addresses.includes(address))),
            );
          }
          assert.equal(index.size, model.size);
        }
      }),
    );
  });
});
