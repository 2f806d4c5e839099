import assert from "node:assert/strict";
import { it } from "node:test";
import type { V1Pod } from "@kubernetes/client-node";
import { allows, rightsGranted, rightsUsed, rightText } from "../../../helm/access-rights.ts";
import { NAMESPACE } from "../../../helm/rendered-chart.ts";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { runNodeIn, standingOf } from "../node-in-pod.ts";
import { SHIM_ACCOUNT, SHIM_NAMESPACE, shimPods } from "../shim-agent.ts";
import type { InstalledShim } from "./installed-shim.ts";

/** What its containers may do on the node. */
export function itHasFewCapabilities(shim: () => InstalledShim): void {
  it("runs with a read-only root, and what each container needs of root's capabilities", async () => {
    const { cluster } = shim();
    const [pod] = await shimPods(cluster);
    for (const [container, capabilities] of [
      // DAC_READ_SEARCH and NET_BIND_SERVICE; NET_ADMIN and NET_RAW (capability.h).
      ["shim", (1 << 2) | (1 << 10)],
      ["rules", (1 << 12) | (1 << 13)],
    ] as const) {
      assert.deepEqual(await standingOf(cluster, inShim(pod, container), "self"), {
        uid: 0,
        capabilities: capabilities.toString(16).padStart(16, "0"),
        noNewPrivileges: true,
        isRootReadOnly: true,
      });
    }
  });
}

/** What it may ask of the API server. */
export function itHasNoRightTooMany(shim: () => InstalledShim): void {
  it("has been given exactly the rights that it has used", async (t) => {
    const { cluster } = shim();
    const granted = await rightsGranted(cluster.admin, SHIM_ACCOUNT);
    const uses = await usesOf(cluster, SHIM_ACCOUNT);
    assert.deepEqual(
      uses.filter(({ isAllowed }) => !isAllowed),
      [],
    );
    const needed = granted.filter((right) => uses.some((use) => allows(right, use)));
    t.diagnostic(`${needed.length} rights used of ${granted.length} granted`);
    assert.deepEqual(needed.map(rightText).toSorted(), granted.map(rightText).toSorted());
    const webhook = await usesOf(cluster, { namespace: NAMESPACE, name: "irsa-webhook" });
    assert.ok(webhook.some(({ verb, resource }) => verb === "get" && resource === "/pods"));
  });

  it("may change nothing of a node but its own taint", async () => {
    const { cluster } = shim();
    const [pod] = await shimPods(cluster);
    const ask = (node: string, patch: object): Promise<string> =>
      patchNodeAsShim(cluster, pod, node, patch);
    const relabel = { metadata: { labels: { a: "b" } } };
    assert.match(await ask("node-0", relabel), /^422 .*the shim may change taints alone/);
    assert.match(await ask("node-1", relabel), /^422 .*the shim may change its own node alone/);
    const taint = { spec: { taints: [{ key: "a", effect: "NoSchedule" }] } };
    assert.match(await ask("node-0", taint), /^422 .*may take away the taint \S+ and nothing else/);
    const cordon = { spec: { unschedulable: true } };
    assert.match(await ask("node-0", cordon), /^422 .*the shim may change taints alone/);
  });
}

/** What a ServiceAccount did so far. */
export async function usesOf(
  { apiServers }: Cluster,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): ReturnType<typeof rightsUsed> {
  const [{ auditFile }] = apiServers;
  return rightsUsed(auditFile, `system:serviceaccount:${namespace}:${name}`);
}

function inShim(pod: V1Pod | undefined, container: string): readonly string[] {
  return [`-n${SHIM_NAMESPACE}`, pod?.metadata?.name ?? "", `--container=${container}`];
}

/** What the API server says to a change of a node by a shim's own token: status and message. */
async function patchNodeAsShim(
  cluster: Cluster,
  pod: V1Pod | undefined,
  node: string,
  patch: object,
): Promise<string> {
  const script = `
    const { readFileSync } = process.getBuiltinModule("node:fs");
    const read = (name) => readFileSync("/var/run/secrets/kubernetes.io/serviceaccount/" + name, "utf8");
    const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = process.env;
    const request = process.getBuiltinModule("node:https").request({
      method: "PATCH",
      host, port, ca: read("ca.crt"), path: "/api/v1/nodes/${node}",
      headers: {
        authorization: "Bearer " + read("token"),
        "content-type": "application/merge-patch+json",
      },
    }, (response) => {
      let body = "";
      response.on("data", (chunk) => { body += chunk; });
      response.on("end", () => console.log(response.statusCode, JSON.parse(body).message));
    });
    request.end(${JSON.stringify(JSON.stringify(patch))});`;
  return runNodeIn(cluster, inShim(pod, "shim"), "--eval", script);
}
