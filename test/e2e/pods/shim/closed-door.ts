import assert from "node:assert/strict";
import { it } from "node:test";
import { eventually } from "../eventually.ts";
import { sightsOf } from "../metadata-watcher.ts";
import { OTHER_TAINT, TAINT, type InstalledShim } from "./installed-shim.ts";
import { VIEWS, WATCHED } from "./watchers.ts";

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
    for (const view of VIEWS) {
      const sights = await sightsOf(cluster, { namespace: WATCHED, ...view });
      const kept = sights.filter(({ connection }) => connection === "kept");
      const hadReached = kept.some(({ isNode }) => isNode === true);
      const last = kept.at(-1)?.isNode ?? false;
      assert.deepEqual([hadReached, last], [true, false], JSON.stringify(view));
    }
  });

  it("leads pods to the node's address of their family, which the chart tells it", async () => {
    const { cluster } = shim();
    const METADATA = ["169.254.169.254/32", "fd00:ec2::254/128"];
    for (const node of cluster.nodes) {
      for (const [i, program] of ["iptables-save", "ip6tables-save"].entries()) {
        const rules = await node.run(program);
        const address = node.addresses[i] ?? "";
        const target = address.includes(":") ? `[${address}]` : address;
        const wanted = [
          `-A FORWARD -d ${METADATA[i]} -j IRSA-METADATA`,
          `-A IRSA-METADATA -p tcp -j DNAT --to-destination ${target}:8181`,
        ];
        const lines = rules.split("\n");
        assert.deepEqual(
          wanted.filter((line) => !lines.includes(line)),
          [],
          rules,
        );
        assert.match(rules, /^-A IRSA-METADATA -j REJECT/m);
      }
    }
  });
}

/** The last of what is asked while there are rules. */
export function itNeverOpenedTheDoor(shim: () => InstalledShim): void {
  it("never let a pod have the node's role since the rules were first in", async () => {
    const { cluster, callsBefore, closedAtMs } = shim();
    const calls = cluster.metadataCalls().slice(callsBefore);
    assert.deepEqual(
      calls.filter(({ from }) => /^(?:10\.244\.|fd10:244:)/.test(from)),
      [],
    );
    for (const view of VIEWS) {
      const sights = await sightsOf(cluster, { namespace: WATCHED, ...view, sinceMs: closedAtMs });
      assert.ok(sights.length > 100, `${JSON.stringify(view)}: ${sights.length}`);
      assert.deepEqual(
        sights.filter(({ isNode }) => isNode === true),
        [],
      );
    }
  });
}
