import { join } from "node:path";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { forEachBounded } from "../fakes/for-each-bounded.ts";
import { createObject, patchStatus } from "../shim/create-object.ts";
import { showProcess } from "../shim/shown-process.ts";
import { usualPod } from "./review.ts";

export const NODE_NAME = "node-0";
export const NODE_ADDRESS = "10.0.0.1";
/** What the loopback interface of the bench's network namespace has: the node, and all its pods. */
export const BENCH_ADDRESSES: readonly string[] = [`${NODE_ADDRESS}/32`, "10.1.0.1/16"];

/** A pod of the node. */
export interface NodePod {
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
  readonly address: string;
}

/** Of all pods. */
export const POD_NAMESPACE = "bench";
const ACCOUNTS = 25;
const PODS_OF_ANOTHER_NODE = 250;
const CONCURRENCY = 32;

export function podPath(name: string): string {
  return `/api/v1/namespaces/${POD_NAMESPACE}/pods/${name}`;
}

/** Creates pods of this node, which run and have addresses, of 25 ServiceAccounts with a role. */
export async function createNodePods(
  kube: KubeConnection,
  count: number,
  roleArn: string,
): Promise<readonly NodePod[]> {
  await createObject(kube, "/api/v1/namespaces", { metadata: { name: POD_NAMESPACE } });
  const annotations = { "eks.amazonaws.com/role-arn": roleArn };
  await forEachBounded(ACCOUNTS, CONCURRENCY, (number) =>
    createObject(kube, `/api/v1/namespaces/${POD_NAMESPACE}/serviceaccounts`, {
      metadata: { name: accountOf(number), annotations },
    }),
  );
  const pods: NodePod[] = [];
  await forEachBounded(count, CONCURRENCY, async (number) => {
    const serviceAccount = accountOf(number);
    const name = `pod-${number}`;
    const address = `10.1.${1 + Math.floor(number / 200)}.${1 + (number % 200)}`;
    const { metadata, spec } = usualPod({ namespace: POD_NAMESPACE, serviceAccount });
    const uid = await createObject(kube, `/api/v1/namespaces/${POD_NAMESPACE}/pods`, {
      metadata: { ...metadata, name },
      spec: { ...spec, nodeName: NODE_NAME },
    });
    await patchStatus(kube, podPath(name), runningAt(address));
    pods.push({ name, uid, serviceAccount, address });
  });
  return pods;
}

/** Creates pods of other nodes, 250 each, so that the node is one of a large cluster. */
export async function createPodsOfOthers(kube: KubeConnection, count: number): Promise<void> {
  await forEachBounded(count, CONCURRENCY, (number) =>
    createObject(kube, `/api/v1/namespaces/${POD_NAMESPACE}/pods`, {
      metadata: { name: `other-${number}` },
      spec: {
        nodeName: `node-${1 + Math.floor(number / PODS_OF_ANOTHER_NODE)}`,
        serviceAccountName: accountOf(number),
        containers: [{ name: "app", image: "registry.example.com/app:v1" }],
      },
    }),
  );
}

/**
 * Makes what an agent sees of the node's processes: a folder like `/proc` with one for each pod, its
 * cgroup that of the pod, its sockets those of the network namespace that all of the bench is in.
 */
export async function writeProcesses(folder: string, pods: readonly NodePod[]): Promise<string> {
  const proc = join(folder, "proc");
  await forEachBounded(pods.length, CONCURRENCY, (number) =>
    showProcess(proc, 1000 + number, { podUid: pods[number]?.uid ?? "", net: "/proc/self/net" }),
  );
  return proc;
}

function accountOf(number: number): string {
  return `account-${number % ACCOUNTS}`;
}

const CONTAINERS = ["app", "metrics", "proxy"];

function runningAt(address: string): object {
  return {
    phase: "Running",
    podIP: address,
    podIPs: [{ ip: address }],
    hostIP: NODE_ADDRESS,
    hostIPs: [{ ip: NODE_ADDRESS }],
    containerStatuses: CONTAINERS.map((name) => ({
      name,
      image: `registry.example.com/shop/${name}:v2.14.3`,
      imageID: `registry.example.com/shop/${name}@sha256:${"0".repeat(64)}`,
      ready: true,
      restartCount: 0,
      state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
    })),
  };
}
