import assert from "node:assert/strict";
import { it } from "node:test";
import { eventually } from "../eventually.ts";
import { sightsOf } from "../metadata-watcher.ts";
import { OTHER_TAINT, TAINT, type InstalledShim } from "./installed-shim.ts";
import { NODES, WATCHED } from "./watchers.ts";

/** What the rules do to nodes that had none. */
export function itShutsTheDoor(shim: () => InstalledShim): void {
  it("takes its taint from each node, and no other", async () => {
    const { cluster } = shim();
    const taints = await eventually("no taint of the shim's", async () => {
      const { items } = await cluster.admin.core.listNode();
      const keys = items.map(({ spec }) => (spec?.taints ?? []).map(({ key }) => key));
      return keys.flat().includes(TAINT) ? undefined : keys;
    });
    assert.deepEqual(taints, [[], [OTHER_TAINT]]);
  });

  it("ends connections from before the rules, which had reached the node's role (N1, N4)", async () => {
    const { cluster } = shim();
    for (const nodeName of NODES) {
      const sights = await sightsOf(cluster, { namespace: WATCHED, nodeName });
      const [first, ...others] = sights.filter(({ connection }) => connection === "kept");
      const last = others.at(-1);
      assert.deepEqual([first?.isNode, last?.isNode ?? false], [true, false], nodeName);
    }
  });

  it("keeps IPv6 pods from the node's role too", async () => {
    const { cluster } = shim();
    for (const node of cluster.nodes) {
      const rules = await node.run("ip6tables-save");
      assert.match(rules, /^-A FORWARD -d fd00:ec2::254\/128 -j IRSA-METADATA$/m);
      assert.match(rules, /^-A IRSA-METADATA -j REJECT/m);
    }
  });
}

/** The last of what is asked while there are rules. */
export function itNeverOpenedTheDoor(shim: () => InstalledShim): void {
  it("never let a pod have the node's role since the rules were first in", async () => {
    const { cluster, callsBefore, closedAtMs } = shim();
    const calls = cluster.metadataCalls().slice(callsBefore);
    assert.deepEqual(
      calls.filter(({ from }) => from.startsWith("10.244.")),
      [],
    );
    for (const nodeName of NODES) {
      const sights = await sightsOf(cluster, { namespace: WATCHED, nodeName, sinceMs: closedAtMs });
      assert.ok(sights.length > 100, String(sights.length));
      assert.deepEqual(
        sights.filter(({ isNode }) => isNode === true),
        [],
      );
    }
  });
}
