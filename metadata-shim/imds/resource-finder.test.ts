import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createMetadataTree } from "./metadata-tree.ts";
import { createResourceFinder } from "./resource-finder.ts";

const ROLES = "/latest/meta-data/iam/security-credentials";

/** A finder, with how often the tree was looked into. */
function start() {
  const tree = createMetadataTree({ region: "eu-west-1" });
  const looks: string[] = [];
  const find = createResourceFinder((path) => {
    looks.push(path.join("/"));
    return tree(path);
  });
  return { find, looks };
}

describe("createResourceFinder", () => {
  it("finds the same for the same target, by one look into the tree", () => {
    const { find, looks } = start();
    const first = find(`${ROLES}/app`);
    assert.deepEqual(first, { kind: "role", name: "app" });
    assert.equal(find(`${ROLES}/app`), first);
    assert.equal(looks.length, 1);
  });

  it("remembers that there is nothing", () => {
    const { find, looks } = start();
    assert.equal(find("/latest/user-data"), undefined);
    assert.equal(find("/latest/user-data"), undefined);
    assert.equal(looks.length, 1);
  });

  it("takes no target for another", () => {
    const { find } = start();
    assert.deepEqual(find(`${ROLES}/a`), { kind: "role", name: "a" });
    assert.deepEqual(find(`${ROLES}/b`), { kind: "role", name: "b" });
    assert.deepEqual(find(`${ROLES}/`), { kind: "role-list" });
    assert.equal(find(`${ROLES}/../info`), undefined);
  });

  it("reads long targets each time, and keeps none of them", () => {
    const { find, looks } = start();
    const name = "x".repeat(300);
    assert.deepEqual(find(`${ROLES}/${name}`), { kind: "role", name });
    assert.deepEqual(find(`${ROLES}/${name}`), { kind: "role", name });
    assert.equal(looks.length, 2);
  });

  it("goes on to find when more was asked for than it keeps", () => {
    const { find } = start();
    for (let i = 0; i < 2000; i += 1) {
      assert.deepEqual(find(`${ROLES}/role-${i}`), { kind: "role", name: `role-${i}` });
    }
    assert.deepEqual(find(`${ROLES}/role-0`), { kind: "role", name: "role-0" });
  });
});
