import { setTimeout as sleep } from "node:timers/promises";
import * as installation from "../e2e/pods/installation.ts";
import { startProductCluster } from "../e2e/pods/product-cluster.ts";
import { SERVICE_ACCOUNT } from "../e2e/pods/workloads.ts";
import type { Cluster } from "../kubernetes/cluster.ts";
import { toolsPod } from "../kubernetes/running-pod.ts";

/** Times of pods, in milliseconds; medians but for the last. */
export interface PodStart {
  /** Until the API server had admitted and stored it. */
  readonly createMs: number;
  /** From the same start until its status is Running. */
  readonly runningMs: number;
  readonly slowestMs: number;
}

const POLL_MS = 10;
const LIMIT_MS = 120_000;
const ROLE = "arn:aws:iam::111122223333:role/app";

/**
 * Starts pods one after another on a node, in turn in a namespace that the webhook covers and in one
 * that it does not, whose pods have the same ServiceAccount.
 */
export async function benchPods(
  pods: number,
): Promise<{ readonly with: PodStart; readonly without: PodStart }> {
  await using product = await startProductCluster({});
  const { cluster } = product;
  await installation.prepareNamespace(product);
  await installation.runHelm(product, "install");
  await installation.untilRolledOut(cluster, "irsa-webhook", "irsa-issuer");
  await installation.createNamespace(cluster, "without", ROLE);
  await installation.createCoveredNamespace(cluster, "with", ROLE);
  await installation.untilPodsAreMutated(cluster, "with");
  const times = { with: [] as PodTimes[], without: [] as PodTimes[] };
  // The first ones find nothing prepared.
  for (let i = -1; i < pods; i += 1) {
    // Neither is always the second.
    const order = ["with", "without"] as const;
    for (const namespace of i % 2 === 0 ? order : order.toReversed()) {
      const time = await startPod(cluster, namespace, `pod-${i + 1}`);
      if (i >= 0) times[namespace].push(time);
    }
  }
  return { with: summaryOf(times.with), without: summaryOf(times.without) };
}

interface PodTimes {
  readonly createMs: number;
  readonly runningMs: number;
}

async function startPod(
  { admin: { core } }: Cluster,
  namespace: string,
  name: string,
): Promise<PodTimes> {
  const startMs = performance.now();
  const body = toolsPod(name, { serviceAccountName: SERVICE_ACCOUNT });
  const { spec } = await core.createNamespacedPod({ namespace, body });
  const createMs = performance.now() - startMs;
  const hasRole = JSON.stringify(spec).includes(ROLE);
  if (hasRole !== (namespace === "with")) throw new Error(`Pod ${namespace}/${name}: ${hasRole}`);
  for (;;) {
    const { status } = await core.readNamespacedPod({ namespace, name });
    const runningMs = performance.now() - startMs;
    if (status?.phase === "Running") {
      await core.deleteNamespacedPod({ namespace, name, gracePeriodSeconds: 0 });
      return { createMs, runningMs };
    }
    if (runningMs > LIMIT_MS) throw new Error(`Not running: ${JSON.stringify(status)}`);
    await sleep(POLL_MS);
  }
}

function summaryOf(times: readonly PodTimes[]): PodStart {
  const running = times.map(({ runningMs }) => runningMs);
  return {
    createMs: medianOf(times.map(({ createMs }) => createMs)),
    runningMs: medianOf(running),
    slowestMs: Math.max(...running),
  };
}

function medianOf(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
