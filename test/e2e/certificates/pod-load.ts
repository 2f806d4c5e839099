import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { KubeConnection } from "../../../lib/kube/connection.ts";

/** Of the ServiceAccount `reader` in the namespace `covered`. */
export const ROLE = "arn:aws:iam::111122223333:role/reader";
const PODS = "/api/v1/namespaces/covered/pods";

const POD = {
  metadata: { generateName: "pod-" },
  spec: { serviceAccountName: "reader", containers: [{ name: "app", image: "i" }] },
};

const CreatedPod = z.looseObject({
  spec: z.looseObject({
    containers: z.array(
      z.looseObject({
        env: z.array(z.looseObject({ name: z.string(), value: z.string().optional() })).default([]),
      }),
    ),
  }),
});

/** Pods that are created steadily. */
export interface PodLoad {
  readonly created: number;
  /** Pods that were refused, or came without the role. */
  readonly failures: readonly string[];
  /** Runs something while no pod is being created. */
  between(work: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** Creates pods of the ServiceAccount with the role, one after the other in each of two lanes. */
export function startPodLoad(kube: KubeConnection): PodLoad {
  const failures: string[] = [];
  const busy = new Set<Promise<void>>();
  let created = 0;
  const stopping = new AbortController();
  let gate = Promise.resolve();
  const lanes = ["a", "b"].map(() => runLane());

  async function runLane(): Promise<void> {
    while (!stopping.signal.aborted) {
      await gate;
      const pending = createPod();
      busy.add(pending);
      await pending;
      busy.delete(pending);
      await sleep(60);
    }
  }

  async function createPod(): Promise<void> {
    const answer = await kube.request({
      method: "POST",
      path: PODS,
      body: POD,
      timeoutMs: 30_000,
    });
    created += 1;
    if (answer.status !== 201) failures.push(JSON.stringify(answer.body));
    else if (!hasRole(answer.body)) failures.push("a pod has no role");
  }

  return {
    get created() {
      return created;
    },
    failures,
    async between(work) {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      // A lane that has passed the gate before may be just about to begin.
      do {
        await Promise.all(busy);
        await sleep(10);
      } while (busy.size > 0);
      try {
        await work();
      } finally {
        resolve();
      }
    },
    async stop() {
      stopping.abort();
      await Promise.all(lanes);
    },
  };
}

/** Whether a pod would be given the role now: a new webhook configuration takes a moment. */
export async function isInForce(kube: KubeConnection): Promise<boolean> {
  const answer = await kube.request({
    method: "POST",
    path: `${PODS}?dryRun=All`,
    body: POD,
    timeoutMs: 10_000,
  });
  return answer.status === 201 && hasRole(answer.body);
}

function hasRole(body: unknown): boolean {
  return CreatedPod.parse(body).spec.containers.every(({ env }) =>
    env.some(({ name, value }) => name === "AWS_ROLE_ARN" && value === ROLE),
  );
}
