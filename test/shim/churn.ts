import { rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { createObject, deleteObject, patchStatus } from "./create-object.ts";
import type { PodNews, PodSlot } from "./pod-slot.ts";
import { showProcess } from "./shown-process.ts";

export interface ChurnOptions {
  readonly kube: KubeConnection;
  readonly nodeName: string;
  readonly nodeAddress: string;
  /** The few addresses that pods have one after the other. */
  readonly addresses: readonly string[];
  /** More than addresses, so that the next pod is ready when one ends. */
  readonly slots: readonly PodSlot[];
  /** Stands for `/proc` of the node. */
  readonly procFolder: string;
  readonly role: { readonly name: string; readonly arn: string };
  readonly seconds: number;
  /** Whether a pod has got credentials. */
  readonly isServed: (pod: string) => boolean;
  /**
   * Whether an address is free only once the API server knows that its pod is gone, as kubelet
   * does it; else the next pod has it before.
   */
  readonly tellsFirst: boolean;
}

/** A pod that lived, by its name, which its ServiceAccount has too. */
export interface ChurnedPod {
  readonly name: string;
  readonly address: string;
}

export const CHURN_NAMESPACE = "churn";
const PODS = `/api/v1/namespaces/${CHURN_NAMESPACE}/pods`;
/** How long a pod lives once it has credentials. */
const LEAST_LIFE_MS = 100;
const MOST_LIFE_MS = 1500;
/** How long one lives that gets none. */
const UNSERVED_LIFE_MS = 5000;

let pods = 0;

/** Lets pods live and end at a few addresses, where each asks all the time. @returns all that lived. */
export async function churn(options: ChurnOptions): Promise<readonly ChurnedPod[]> {
  const { addresses, slots, seconds } = options;
  const lived: ChurnedPod[] = [];
  const free = [...slots];
  const deleting: Promise<void>[] = [];
  const endMs = performance.now() + seconds * 1000;
  const live = async (address: string): Promise<void> => {
    let next = await createPod(options);
    while (performance.now() < endMs) {
      const pod = next;
      const slot = free.shift();
      if (slot === undefined) throw new Error("Expected more slots than addresses");
      const shown = await showProcess(options.procFolder, pod.number, {
        podUid: pod.uid,
        net: `/proc/${slot.pid}/net`,
      });
      await slot.start(pod.name, address, options.role.name);
      lived.push({ name: pod.name, address });
      const status = runningStatus(address, options.nodeAddress);
      await patchStatus(options.kube, `${PODS}/${pod.name}`, status);
      [next] = await Promise.all([createPod(options), lifeOf(pod.name, options)]);
      const remove = (): Promise<void> => deleteObject(options.kube, `${PODS}/${pod.name}`);
      if (options.tellsFirst) await remove();
      await slot.stop(address);
      await rm(shown, { recursive: true });
      if (!options.tellsFirst) deleting.push(remove());
      free.push(slot);
    }
  };
  await Promise.all(addresses.map(live));
  await Promise.all(deleting);
  return lived;
}

/** Counts of answers, and those that were of another pod. */
export interface Verdict {
  readonly answers: number;
  /** Pods that got credentials. */
  readonly served: number;
  readonly keys: number;
  readonly wrong: readonly string[];
  /** Answers by their status; 0 for none. */
  readonly byStatus: Readonly<Record<string, number>>;
}

/** @param subjectOfKey By AWS's own word: for whose token it gave a key. */
export function judge(
  news: readonly PodNews[],
  subjectOfKey: ReadonlyMap<string, string | undefined>,
): Verdict {
  const given = news.filter(({ keyId }) => keyId !== undefined);
  const wrong = given.filter(
    ({ pod, keyId = "" }) =>
      subjectOfKey.get(keyId) !== `system:serviceaccount:${CHURN_NAMESPACE}:${pod}`,
  );
  return {
    answers: given.length,
    served: new Set(given.map(({ pod }) => pod)).size,
    keys: new Set(given.map(({ keyId }) => keyId)).size,
    wrong: wrong.map(({ pod, keyId = "" }) => `${pod} got that of ${subjectOfKey.get(keyId)}`),
    byStatus: Object.fromEntries(
      [...Map.groupBy(news, ({ status }) => status)].map(([status, all]) => [status, all.length]),
    ),
  };
}

async function createPod({ kube, nodeName, role }: ChurnOptions): Promise<{
  readonly number: number;
  readonly name: string;
  readonly uid: string;
}> {
  pods += 1;
  const number = pods;
  const name = `pod-${number}`;
  const annotations = { "eks.amazonaws.com/role-arn": role.arn };
  const accounts = `/api/v1/namespaces/${CHURN_NAMESPACE}/serviceaccounts`;
  await createObject(kube, accounts, { metadata: { name, annotations } });
  const uid = await createObject(kube, PODS, {
    metadata: { name },
    spec: { nodeName, serviceAccountName: name, containers: [{ name: "app", image: "app" }] },
  });
  return { number, name, uid };
}

function runningStatus(address: string, hostIP: string): object {
  return { phase: "Running", podIP: address, podIPs: [{ ip: address }], hostIP };
}

/** Resolves when a pod has lived long enough. */
async function lifeOf(pod: string, { isServed }: ChurnOptions): Promise<void> {
  const startMs = performance.now();
  while (!isServed(pod) && performance.now() - startMs < UNSERVED_LIFE_MS) await sleep(20);
  await sleep(LEAST_LIFE_MS + Math.random() * (MOST_LIFE_MS - LEAST_LIFE_MS));
}
