import { z } from "zod";
import type { Cluster } from "../../kubernetes/cluster.ts";
import { NODE_ACCESS_KEY_ID, NODE_ROLE } from "../../kubernetes/nodes/metadata-stand-in.ts";
import * as workloads from "./workloads.ts";

/** Of the addresses that a watcher asks. */
export const FAMILIES = ["ipv4", "ipv6"] as const;

/** What a watcher saw at one time. */
export type Sight = z.infer<typeof Sight>;
const Sight = z.object({
  atMs: z.number(),
  family: z.enum(FAMILIES),
  /** Whether the connection is the one from before, as far as it still lives. */
  connection: z.enum(["kept", "new"]),
  status: z.number().optional(),
  /** Whether the credentials of the node's role were in the answer. */
  isNode: z.boolean().optional(),
  /** Why there was no answer. */
  problem: z.string().optional(),
});

const SCRIPT = `
  const http = process.getBuiltinModule("node:http");
  const path = "/latest/meta-data/iam/security-credentials/${NODE_ROLE}";
  const ask = (host, agent) => new Promise((resolve) => {
    const request = http.get({ host, path, agent, timeout: 2000 }, (response) => {
      let body = "";
      response.on("data", (chunk) => { body += chunk; });
      response.on("end", () => {
        resolve({ status: response.statusCode, isNode: body.includes("${NODE_ACCESS_KEY_ID}") });
      });
    });
    request.on("timeout", () => request.destroy(new Error("timeout")));
    request.on("error", (err) => resolve({ problem: err.code ?? err.message }));
  });
  const watch = async (family, host) => {
    const kept = new http.Agent({ keepAlive: true, maxSockets: 1 });
    for (;;) {
      for (const [connection, agent] of [["kept", kept], ["new", false]]) {
        const sight = await ask(host, agent);
        console.log(JSON.stringify({ atMs: Date.now(), family, connection, ...sight }));
      }
      await new Promise((resolve) => { setTimeout(resolve, 200); });
    }
  };
  await Promise.all([watch("ipv4", "169.254.169.254"), watch("ipv6", "fd00:ec2::254")]);`;

/**
 * A pod that asks for the credentials of the node's role all the time, over two
 * connections of each family.
 */
export function watcherPod(nodeName: string): object {
  const container = workloads.client("app", { args: ["--input-type=module", "--eval", SCRIPT] });
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: watcherOf(nodeName) },
    spec: workloads.podSpec({ nodeName, containers: [container] }),
  };
}

/** What the watcher of a node has seen of a family from a time on, oldest first. */
export async function sightsOf(
  { admin }: Cluster,
  {
    namespace,
    nodeName,
    family,
    sinceMs = 0,
  }: {
    readonly namespace: string;
    readonly nodeName: string;
    readonly family: Sight["family"];
    readonly sinceMs?: number;
  },
): Promise<readonly Sight[]> {
  const name = watcherOf(nodeName);
  // Not before the container has been started.
  const log = await admin.core.readNamespacedPodLog({ namespace, name }).catch(() => "");
  return log
    .split("\n")
    .filter((line) => line.endsWith("}"))
    .map((line) => Sight.parse(JSON.parse(line)))
    .filter((sight) => sight.family === family && sight.atMs >= sinceMs);
}

function watcherOf(nodeName: string): string {
  return `watcher-${nodeName}`;
}
