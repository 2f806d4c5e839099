import { setTimeout as sleep } from "node:timers/promises";
import type { V1EnvVar, V1Pod } from "@kubernetes/client-node";
import type { Cluster } from "../../../kubernetes/cluster.ts";
import { TOOLS_IMAGE } from "../../../kubernetes/nodes/busybox-images.ts";
import { CHURN_NAMESPACE } from "../../../shim/churn.ts";
import type { PodNews } from "../../../shim/pod-slot.ts";
import { CREDENTIALS_PATH } from "./installed-shim.ts";
import { CHURN_ROLE } from "./strict-shim.ts";

export interface KubeletChurnOptions {
  readonly cluster: Cluster;
  readonly roleArn: string;
  readonly seconds: number;
  /** How many pods there are at a time. */
  readonly slots: number;
}

/** An answer, or none, with the address that the pod had. */
export interface PodAnswer extends PodNews {
  readonly address: string;
}

/** How long a pod lives once it runs. */
const LEAST_LIFE_MS = 300;
const MOST_LIFE_MS = 2000;
/** How long one is waited for that does not come to run, or does not go. */
const PATIENCE_MS = 30_000;
const POLL_MS = 150;
/** Of the node, so that what a pod has seen outlives it. */
const FOLDER = "/var/lib/answers";

// By IMDSv1, which the namespace allows: busybox's wget knows no PUT. Its own -T ends it at once.
const ASK = `
  trap "exit 0" TERM
  while :; do
    body=$(timeout 2 wget -q -O - "http://169.254.169.254${CREDENTIALS_PATH}${CHURN_ROLE}" 2>&1)
    case $body in
      *AccessKeyId*) key=\${body#*AccessKeyId}; key=\${key#*\\"}; key=\${key#*\\"}; told="200 \${key%%\\"*}" ;;
      *HTTP/1.1*) told=\${body#*HTTP/1.1 }; told=\${told%% *} ;;
      *) told=0 ;;
    esac
    echo "$ADDRESS $told" >>"/answers/$POD"
    sleep 0.05
  done`;

/**
 * Lets pods of kubelet live and end, each with a ServiceAccount of its own by its name, and each followed
 * at once by the next. All ask all the time. Every other pod has a token of the webhook's, and every third
 * is taken from the API server before kubelet ends it, as by `--force`.
 *
 * @returns the names of all that came to run.
 */
export async function churnKubelet({
  cluster,
  roleArn,
  seconds,
  slots,
}: KubeletChurnOptions): Promise<readonly string[]> {
  const { core } = cluster.admin;
  const namespace = CHURN_NAMESPACE;
  const endMs = performance.now() + seconds * 1000;
  const lived: string[] = [];
  let pods: ReadonlyMap<string, V1Pod> = new Map();
  const over = new AbortController();
  let count = 0;

  const look = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const { items } = await core.listNamespacedPod({ namespace });
      pods = new Map(items.map((pod) => [pod.metadata?.name ?? "", pod]));
      await sleep(POLL_MS);
    }
  };
  const live = async (): Promise<void> => {
    while (performance.now() < endMs) {
      count += 1;
      const number = count;
      const name = `pod-${number}`;
      await cluster.createServiceAccount(namespace, name, {
        "eks.amazonaws.com/role-arn": roleArn,
      });
      await core.createNamespacedPod({ namespace, body: askingPod(name, number % 2 === 0) });
      const runs = await until(() => pods.get(name)?.status?.phase === "Running");
      if (runs) lived.push(name);
      await sleep(LEAST_LIFE_MS + Math.random() * (MOST_LIFE_MS - LEAST_LIFE_MS));
      const isForced = number % 3 === 0;
      await core.deleteNamespacedPod({
        namespace,
        name,
        ...(isForced ? { gracePeriodSeconds: 0 } : {}),
      });
      await until(() => !pods.has(name));
    }
  };
  const looking = look();
  try {
    await Promise.all(Array.from({ length: slots }, live));
  } finally {
    over.abort();
    await looking;
  }
  return lived;
}

/** Resolves when it is so, or does not become so. */
async function until(isSo: () => boolean): Promise<boolean> {
  const lastMs = performance.now() + PATIENCE_MS;
  while (!isSo() && performance.now() < lastMs) await sleep(POLL_MS / 3);
  return isSo();
}

/** What the pods of a node were answered, each in its order. */
export async function answersOfPods({ nodes: [node] }: Cluster): Promise<readonly PodAnswer[]> {
  const text = await node.run("/bin/sh", "-c", `cd ${FOLDER} && grep -H . *`);
  return text
    .trim()
    .split("\n")
    .map((line) => {
      const [pod = "", rest = ""] = line.split(":", 2);
      const [address = "", status, keyId] = rest.split(" ");
      return { pod, address, status: Number(status), keyId };
    });
}

/** How often an address went from one pod to another, of those that were answered there. */
export function countSuccessions(answers: readonly PodAnswer[]): number {
  const served = answers.filter(({ keyId }) => keyId !== undefined);
  const addresses = Map.groupBy(served, ({ address }) => address);
  const pods = [...addresses.values()].map((all) => new Set(all.map(({ pod }) => pod)).size);
  return pods.reduce((sum, each) => sum + each - 1, 0);
}

function fromField(name: string, fieldPath: string): V1EnvVar {
  return { name, valueFrom: { fieldRef: { fieldPath } } };
}

function askingPod(name: string, hasToken: boolean): V1Pod {
  const injection = hasToken ? {} : { "irsa-anywhere.io/injection": "disabled" };
  return {
    metadata: { name, labels: injection },
    spec: {
      serviceAccountName: name,
      terminationGracePeriodSeconds: 1,
      containers: [
        {
          name: "app",
          image: TOOLS_IMAGE,
          imagePullPolicy: "Never",
          command: ["/bin/sh", "-c", ASK],
          env: [fromField("POD", "metadata.name"), fromField("ADDRESS", "status.podIP")],
          volumeMounts: [{ name: "answers", mountPath: "/answers" }],
        },
      ],
      volumes: [{ name: "answers", hostPath: { path: FOLDER, type: "DirectoryOrCreate" } }],
    },
  };
}
