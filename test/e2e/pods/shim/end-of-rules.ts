import assert from "node:assert/strict";
import { it } from "node:test";
import { connect } from "../../../../lib/kube/connection.ts";
import { allObjects } from "../../../helm/all-objects.ts";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { pageBlocks } from "../../../page-blocks.ts";
import { eventually } from "../eventually.ts";
import { uninstallRelease } from "../installation.ts";
import { SHIM_NAMESPACE, untilShimRolledOut } from "../shim-agent.ts";
import { upgradeShim, type InstalledShim } from "./installed-shim.ts";
import { untilEachWatcher } from "./watchers.ts";

/** What is there of it when it is gone. */
export function itLeavesItsRules(shim: () => InstalledShim): void {
  it("leaves the rules when it is taken out of the release, and nothing else", async () => {
    const { cluster, product } = shim();
    await upgradeShim(product, { enabled: false });
    await untilNothingOf(cluster, /irsa-shim/);
    const sinceMs = Date.now();
    await untilEachWatcher(
      cluster,
      "a closed door",
      (sights) => sights.at(-1)?.problem === "ECONNREFUSED",
      sinceMs,
    );
  });
}

/** Print the rules of each family. */
const PROGRAMS = ["iptables-save", "ip6tables-save"] as const;

/** How the rules go, on one node and on all. */
export function itTakesItsRulesAway(shim: () => InstalledShim): void {
  it("loses its rules on a single node by the command of the page", async () => {
    const { cluster } = shim();
    const agent = ["daemonset", "--ignore-not-found", "kiam-agent", `-n${SHIM_NAMESPACE}`];
    await cluster.kubectl("delete", ...agent);
    await untilNothingOf(cluster, /pods \S+\/kiam-agent/);
    const blocks = await pageBlocks("install.md", "bash");
    const command = blocks.find((block) => block.startsWith("kubectl debug node/NODE")) ?? "";
    const [, ...args] = command.trim().replace("NODE", "node-0").split(" ");
    await cluster.kubectl(...args);
    const [first, second] = cluster.nodes;
    await eventually("a node without rules", async () => {
      const rules = await Promise.all(PROGRAMS.map((program) => first.run(program)));
      return rules.join("\n").includes("IRSA") ? undefined : true;
    });
    for (const program of PROGRAMS) assert.match((await second?.run(program)) ?? "", /IRSA/);
  });

  it("takes the rules away when it is told to, and pods reach the node's role again", async () => {
    const { cluster, product } = shim();
    await upgradeShim(product, { enabled: true, removeRules: true });
    await untilShimRolledOut(cluster);
    const sinceMs = Date.now();
    await untilEachWatcher(
      cluster,
      "the node's role",
      (sights) => sights.at(-1)?.isNode === true,
      sinceMs,
    );
    for (const node of cluster.nodes) {
      for (const program of PROGRAMS) {
        assert.doesNotMatch(await node.run(program), /IRSA|169\.254\.169\.254|fd00:ec2/);
      }
    }
    await uninstallRelease(product);
    await untilNothingOf(cluster, /irsa-(shim|webhook|anywhere)/);
  });
}

/** Resolves when no object has such a name. */
async function untilNothingOf({ kubeconfig }: Cluster, name: RegExp): Promise<void> {
  const kube = connect({ kubeconfig });
  let left: readonly string[] = [];
  await eventually(
    `nothing of ${name.source}`,
    async () => {
      left = (await allObjects(kube)).filter((object) => name.test(object));
      return left.length === 0 || undefined;
    },
    async () => left.join(", "),
  );
}
