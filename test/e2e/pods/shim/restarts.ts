import assert from "node:assert/strict";
import { it } from "node:test";
import { z } from "zod";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { podOf } from "../client-output.ts";
import { eventually } from "../eventually.ts";
import { TEAM } from "../installation.ts";
import { sightsOf, type Sight } from "../metadata-watcher.ts";
import { killShims, SHIM_NAMESPACE, shimPods, untilShimRolledOut } from "../shim-agent.ts";
import { timed } from "../timed.ts";
import type { InstalledShim } from "./installed-shim.ts";
import type { RepeatingSdk } from "./repeating-sdks.ts";
import { untilEachWatcher, VIEWS, WATCHED } from "./watchers.ts";

const RESTARTS = 20;

/** What pods see of it while a container is away, or its rules are. */
export function itComesBack(shim: () => InstalledShim, sdks: readonly RepeatingSdk[]): void {
  it(`keeps SDKs working while it is killed ${RESTARTS} times and then replaced`, async (t) => {
    const { cluster } = shim();
    await timed("restarts", async () => {
      const restarts = await killShims(cluster, RESTARTS);
      t.diagnostic(`restarts: ${restarts.join(" and ")}`);
      await cluster.kubectl("rollout", "restart", "daemonset/irsa-shim", `-n${SHIM_NAMESPACE}`);
      await untilShimRolledOut(cluster);
    });
    const sinceMs = Date.now();
    const here = sdks.filter(({ skip }) => skip === false);
    for (const app of here.flatMap(({ apps }) => apps)) {
      const lines = await outcomesOf(cluster, app);
      const kept = lines.filter(({ client }) => client === "kept");
      const first = kept.findIndex(({ arn }) => arn !== undefined);
      assert.ok(first !== -1, `${app} never had credentials: ${JSON.stringify(kept)}`);
      assert.deepEqual(kept.slice(first).filter(isProblem), [], app);
      const others = lines.filter(({ client }) => client === "new");
      const problems = others.filter(isProblem).length;
      t.diagnostic(
        `${app}: had credentials at attempt ${first + 1}, ${problems} of ${others.length} new clients got none`,
      );
      await eventually(`a new client of ${app} after that`, async () => {
        const now = await outcomesOf(cluster, app);
        return (now.length > lines.length && now.at(-1)?.arn !== undefined) || undefined;
      });
    }
    await untilShimAnswers(cluster, sinceMs);
  });

  it("is closed when the DNAT is deleted by hand, until the rules are put back (N17)", async () => {
    const { cluster } = shim();
    const sinceMs = Date.now();
    // Again and again: the rules may be put back before a watcher has asked.
    await eventually("a closed door at each watcher", async () => {
      for (const node of cluster.nodes) {
        for (const program of PROGRAMS) await node.run(program, "-t", "nat", "-F", "IRSA-METADATA");
      }
      return (await areAllRefused(cluster, sinceMs)) || undefined;
    });
    for (const [i, node] of cluster.nodes.entries()) {
      for (const program of PROGRAMS) {
        await eventually("the rule that was deleted", async () => {
          const rules = await node.run(program, "-t", "nat", "-S", "IRSA-METADATA");
          return rules.includes("DNAT") || undefined;
        });
      }
      const name = (await shimPods(cluster))[i]?.metadata?.name ?? "";
      const log = await cluster.kubectl("logs", name, `-n${SHIM_NAMESPACE}`, "--container=rules");
      assert.match(log, /Put back rules that were lost/);
    }
    await untilShimAnswers(cluster, Date.now());
  });
}

/** Of each family. */
const PROGRAMS = ["iptables", "ip6tables"] as const;

async function areAllRefused(cluster: Cluster, sinceMs: number): Promise<boolean> {
  const refused = VIEWS.map(async (view) => {
    const sights = await sightsOf(cluster, { namespace: WATCHED, ...view, sinceMs });
    return sights.some(({ problem }) => problem === "ECONNREFUSED");
  });
  return (await Promise.all(refused)).every(Boolean);
}

function isProblem({ problem }: Outcome): boolean {
  return problem !== undefined;
}

type Outcome = z.infer<typeof Outcome>;
const Outcome = z.object({
  client: z.enum(["kept", "new"]),
  arn: z.string().optional(),
  problem: z.string().optional(),
});

/** Resolves when the watcher of each node has been answered from a time on. */
async function untilShimAnswers(cluster: Cluster, sinceMs: number): Promise<void> {
  await untilEachWatcher(cluster, "the shim", isAnswered, sinceMs);
}

function isAnswered(sights: readonly Sight[]): boolean {
  return sights.at(-1)?.status !== undefined;
}

/** What the clients of a pod said. */
async function outcomesOf(cluster: Cluster, app: string): Promise<readonly Outcome[]> {
  const pod = await podOf(cluster.admin.core, TEAM, app);
  const asked = { namespace: TEAM, name: pod?.metadata?.name ?? "" };
  const log = await cluster.admin.core.readNamespacedPodLog(asked);
  const lines = log.split("\n").filter((line) => line.startsWith('{"client"'));
  return lines.map((line) => Outcome.parse(JSON.parse(line)));
}
