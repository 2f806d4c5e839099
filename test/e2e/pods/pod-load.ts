import { setTimeout as sleep } from "node:timers/promises";
import type { Cluster } from "../../kubernetes/cluster.ts";
import { SERVICE_ACCOUNT } from "./workloads.ts";

/** What became of pods that were created one after another. */
export interface PodLoad {
  readonly created: number;
  /** The names of those that did not get the role of their ServiceAccount. */
  readonly withoutRole: readonly string[];
  /** Why pods were not created. */
  readonly refused: readonly string[];
  readonly slowestMs: number;
}

const PACE_MS = 100;
const LIMIT_MS = 300_000;

/**
 * Creates pods, admitted and stored as any others but never scheduled, until something is over.
 *
 * @param isOver Asked between two pods, with the number of those created.
 */
export async function createPodsUntil(
  { admin: { core } }: Cluster,
  namespace: string,
  isOver: (created: number) => boolean | Promise<boolean>,
): Promise<PodLoad> {
  const withoutRole: string[] = [];
  const refused: string[] = [];
  let created = 0;
  let slowestMs = 0;
  const endMs = performance.now() + LIMIT_MS;
  while (!(await isOver(created))) {
    const startMs = performance.now();
    if (startMs > endMs) throw new Error(`Not over after ${created} pods`);
    try {
      const { metadata, spec } = await core.createNamespacedPod({ namespace, body: gatedPod() });
      created += 1;
      const env = spec?.containers.flatMap((container) => container.env ?? []) ?? [];
      const hasRole = env.some(({ name }) => name === "AWS_ROLE_ARN");
      if (!hasRole) withoutRole.push(metadata?.name ?? "");
    } catch (err) {
      refused.push(String(err));
    }
    slowestMs = Math.max(slowestMs, performance.now() - startMs);
    await sleep(PACE_MS);
  }
  return { created, withoutRole, refused, slowestMs };
}

function gatedPod(): object {
  return {
    metadata: { generateName: "load-", labels: { app: "load" } },
    spec: {
      serviceAccountName: SERVICE_ACCOUNT,
      schedulingGates: [{ name: "example.com/never" }],
      containers: [{ name: "app", image: "localhost/none" }],
    },
  };
}
