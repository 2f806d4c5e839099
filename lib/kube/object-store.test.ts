import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { ObjectStore } from "./object-store.ts";

describe("ObjectStore", () => {
  it("behaves as a map of pairs", () => {
    const names = fc.constantFrom("a", "b", "c", "");
    const step = fc.tuple(fc.boolean(), names, names, fc.nat());
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const store = new ObjectStore<number>();
        const model = new Map<string, number>();
        for (const [set, namespace, name, value] of steps) {
          const key = `${namespace}/${name}`;
          if (set) {
            store.set(namespace, name, value);
            model.set(key, value);
          } else assert.equal(store.delete(namespace, name), model.delete(key));
          assert.equal(store.get(namespace, name), model.get(key));
          assert.equal(store.has(namespace, name), model.has(key));
        }
        assert.equal(store.size, model.size);
        const entries = [...store.entries()].map(
          ({ namespace, name, value }) => [`${namespace}/${name}`, value] as const,
        );
        assert.deepEqual(new Map(entries), model);
      }),
    );
  });

  it("keeps names apart from namespaces, and from the members of objects", () => {
    const store = new ObjectStore<number>();
    store.set("a", "b", 1);
    for (const [namespace, name] of [
      ["b", "a"],
      ["", "a"],
      ["a", "constructor"],
      ["__proto__", "b"],
    ] as const) {
      assert.equal(store.has(namespace, name), false);
      assert.equal(store.get(namespace, name), undefined);
    }
  });
});
