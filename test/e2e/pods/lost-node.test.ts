import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { NAMESPACE } from "../../helm/rendered-chart.ts";
import { createReadyPod, toolsPod } from "../../kubernetes/running-pod.ts";
import * as installation from "./installation.ts";
import { createPodsUntil } from "./pod-load.ts";
import {
  missingProductParts,
  startProductCluster,
  type ProductCluster,
} from "./product-cluster.ts";
import { timed } from "./timed.ts";

// Two replicas of the webhook on two nodes, of which one is lost to the cluster while pods are created.

const skip = (await missingProductParts(process.env)) ?? false;
const { TEAM } = installation;
const ROLE = "arn:aws:iam::111122223333:role/app";
const PODS = 200;

let product: ProductCluster;
before(async () => {
  if (skip !== false) return;
  product = await startProductCluster({ nodes: 2, cni: "ptp" });
  await installation.prepareNamespace(product);
  await timed("helm install until all of it runs", async () => {
    await installation.runHelm(product, "install");
    await installation.untilRolledOut(product.cluster, "irsa-webhook");
  });
  await installation.createCoveredNamespace(product.cluster, TEAM, ROLE);
  await installation.untilPodsAreMutated(product.cluster, TEAM);
});
after(() => product?.[Symbol.asyncDispose]());

describe("the webhook on two nodes", { skip }, () => {
  it("has a replica on each", async () => {
    const nodeNames = (await webhookPods()).map(({ spec }) => spec?.nodeName);
    assert.deepEqual(new Set(nodeNames), new Set(["node-0", "node-1"]));
  });

  it("misses no pod while kubelet and containerd of one are killed and its node is given up", async (t) => {
    const { cluster } = product;
    const [, second] = cluster.nodes;
    assert.ok(second);
    const startMs = performance.now();
    let killing: Promise<void> | undefined;
    let isGivenUp = false;
    let afterwards = 0;
    const load = await createPodsUntil(cluster, TEAM, async (created) => {
      if (created >= 20) killing ??= second.kill();
      isGivenUp ||= created % 10 === 0 && (await readyReplicas()).join() === "node-0";
      if (isGivenUp) afterwards += 1;
      return created >= PODS && afterwards > 20;
    });
    await killing;
    const { created, slowestMs } = load;
    const seconds = ((performance.now() - startMs) / 1000).toFixed(0);
    t.diagnostic(`${created} pods in ${seconds} s, the slowest ${slowestMs.toFixed(0)} ms`);
    assert.deepEqual([load.withoutRole, load.refused], [[], []]);
    await createReadyPod(cluster.admin.core, TEAM, toolsPod("after"));
  });
});

async function webhookPods() {
  const { items } = await product.cluster.admin.core.listNamespacedPod({
    namespace: NAMESPACE,
    labelSelector: "app.kubernetes.io/component=webhook",
  });
  return items;
}

/** The nodes of the replicas that the Service sends to. */
async function readyReplicas(): Promise<readonly string[]> {
  const { items } = await product.cluster.admin.discovery.listNamespacedEndpointSlice({
    namespace: NAMESPACE,
    labelSelector: "kubernetes.io/service-name=irsa-webhook",
  });
  const endpoints = items.flatMap((slice) => slice.endpoints ?? []);
  const ready = endpoints.filter(({ conditions }) => conditions?.ready !== false);
  return ready.map(({ nodeName }) => nodeName ?? "").toSorted();
}
