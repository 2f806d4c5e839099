import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClusterChanges } from "./cluster-changes.ts";
import { ROLE } from "./following-webhook.ts";

/** Pods that are created one after the other. */
export interface Load {
  readonly pods: number;
  stop(): Promise<void>;
}

/** Creates pods of a ServiceAccount that has its role throughout; each must get it. */
export function startLoad(changes: ClusterChanges, namespace: string): Load {
  const stop = new AbortController();
  let pods = 0;
  const failures: string[] = [];
  const running = (async () => {
    while (!stop.signal.aborted) {
      const pod = await changes.createPod(namespace, "steady");
      pods += 1;
      if (pod.status !== 201 || pod.roleArn !== ROLE) failures.push(JSON.stringify(pod));
      await sleep(20);
    }
  })();
  // Told when it is stopped.
  running.catch(() => {});
  return {
    get pods() {
      return pods;
    },
    async stop() {
      stop.abort();
      await running;
      assert.deepEqual(failures, []);
    },
  };
}
