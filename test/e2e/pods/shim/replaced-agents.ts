import assert from "node:assert/strict";
import { it } from "node:test";
import { iptablesImageOf } from "../../../../scripts/image/build-image.ts";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { pageBlocks } from "../../../page-blocks.ts";
import { eventually } from "../eventually.ts";
import { kiamDaemonSet, kiamRights, kube2iamDaemonSet, kube2iamRights } from "../legacy-agents.ts";
import { SHIM_NAMESPACE } from "../shim-agent.ts";
import { ROLE_NAME } from "../workloads.ts";
import { CREDENTIALS_PATH, LEGACY, type InstalledShim } from "./installed-shim.ts";

/** The image in the place of kube2iam and of kiam, where no shim of the chart is. */
export function itReplacesLegacyAgents(shim: () => InstalledShim): void {
  it("takes the place of kube2iam by its own example, with image and command changed", async () => {
    const { cluster, product } = shim();
    const daemonSet = kube2iamDaemonSet(iptablesImageOf(product.image));
    await startLegacyAgent(cluster, "kube2iam", [...kube2iamRights(), daemonSet]);
    await untilRuleOf(cluster, "eni+");
    assert.match(await answerTo(cluster, "/healthz"), /"hostIP":"10\.10\.0\.10"/);
    assert.equal(await answerTo(cluster, CREDENTIALS_PATH), ROLE_NAME);
    const agents = ["--selector=name=kube2iam", `-n${SHIM_NAMESPACE}`, "--tail=-1"];
    assert.match(await cluster.kubectl("logs", ...agents), /May not read ServiceAccounts/);
  });

  it("gives credentials with what the page adds to that example", async () => {
    const { cluster, product } = shim();
    const blocks = await pageBlocks("migrate-kube2iam-kiam.md", "yaml");
    const page = blocks.find((block) => block.startsWith("# shim.yaml"));
    // AWS itself needs none of it.
    const env = [
      { name: "AWS_ENDPOINT_URL_STS", value: product.awsPlace.stsUrl },
      { name: "AWS_CA_BUNDLE", value: "/aws/ca.crt" },
    ];
    const volumeMounts = [{ name: "aws", mountPath: "/aws" }];
    const aws = {
      dnsPolicy: "ClusterFirstWithHostNet",
      containers: [{ name: "kube2iam", env, volumeMounts }],
      volumes: [{ name: "aws", configMap: { name: "aws" } }],
    };
    for (const patch of [page ?? "", JSON.stringify({ spec: { template: { spec: aws } } })]) {
      await cluster.kubectl("patch", "daemonset", "kube2iam", `-n${SHIM_NAMESPACE}`, `-p=${patch}`);
    }
    const where = ["daemonset/kube2iam", `-n${SHIM_NAMESPACE}`, "--timeout=120s"];
    await cluster.kubectl("rollout", "status", ...where);
    const credentials = await answerTo(cluster, `${CREDENTIALS_PATH}${ROLE_NAME}`);
    assert.match(credentials, /"Code" ?: ?"Success"/);
    assert.match(credentials, /"AccessKeyId" ?: ?"ASIA/);
  });

  it("takes the place of kiam's agent by its own manifest, with image and command changed", async () => {
    const { cluster, product, roleArn } = shim();
    const daemonSet = kiamDaemonSet(iptablesImageOf(product.image));
    await startLegacyAgent(cluster, "kiam-agent", [...kiamRights(), daemonSet]);
    await untilRuleOf(cluster, "cali+");
    assert.equal(await answerTo(cluster, "/ping"), "pong");
    assert.equal(await answerTo(cluster, CREDENTIALS_PATH), roleArn);
  });
}

/** Runs an agent of before, in the place of another one, with what its manifest takes for granted. */
async function startLegacyAgent(
  cluster: Cluster,
  name: string,
  items: readonly object[],
): Promise<void> {
  const where = `-n${SHIM_NAMESPACE}`;
  await cluster.kubectl("delete", "daemonset", "--ignore-not-found", "kube2iam", where);
  const list = { apiVersion: "v1", kind: "List", items };
  await cluster.kubectlWith(JSON.stringify(list), "apply", "-f", "-");
  await cluster.kubectl("rollout", "status", `daemonset/${name}`, where, "--timeout=120s");
}

/** Resolves when pods that come in there are led to the node's own address. */
async function untilRuleOf({ nodes: [node] }: Cluster, interfaces: string): Promise<void> {
  await eventually(`a rule for ${interfaces}`, async () => {
    const rules = await node.run("iptables-save", "-t", "nat");
    const wanted = `-A IRSA-METADATA -i ${interfaces} -p tcp -j DNAT --to-destination ${node.address}:8181`;
    return rules.includes(wanted) || undefined;
  });
}

/** What the agent of a node says to a pod there that asks it by the node's address. */
async function answerTo(cluster: Cluster, path: string): Promise<string> {
  const url = `http://${cluster.nodes[0].address}:8181${path}`;
  return eventually(path, () =>
    cluster
      .kubectl("exec", `-n${LEGACY}`, "asker", "--", "wget", "-q", "-O", "-", url)
      .catch(() => undefined),
  );
}
