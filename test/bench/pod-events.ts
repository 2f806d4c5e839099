import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { KubeConnection } from "../../lib/kube/connection.ts";
import { nodePodsPath } from "../../metadata-shim/caller/node-pods.ts";
import type { ApiProxy } from "../fakes/api-proxy.ts";
import { NODE_NAME } from "./node-pods.ts";

/** Makes the next event of a pod of the node, as a line of a watch. */
export type NextEvent = () => string;

/** What was done while events came in, and how many came in a second. */
export interface WhileEvents<T> {
  readonly result: T;
  readonly eventsPerSecond: number;
}

const TURN_MS = 5;
const TIMEOUT_MS = 30_000;
const MARK = "the number of this event";
const Pods = z.looseObject({
  items: z.array(z.looseObject({ status: z.looseObject({}) })).min(1),
});

/** Reads the pods of the node, and makes of them the events of their changes, one after the other. */
export async function podEventsOf(kube: KubeConnection): Promise<NextEvent> {
  const { body } = await kube.request({ path: nodePodsPath(NODE_NAME), timeoutMs: TIMEOUT_MS });
  const halves = Pods.parse(body).items.map((pod) => {
    const status = { ...pod.status, message: MARK };
    const object = { kind: "Pod", apiVersion: "v1", ...pod, status };
    return JSON.stringify({ type: "MODIFIED", object }).split(MARK, 2);
  });
  let number = 0;
  return () => {
    number += 1;
    return (halves[number % halves.length] ?? []).join(String(number));
  };
}

/**
 * Has the shim told of events at an even pace while `run` runs. They come from the proxy in front of
 * the API server: one that made as many changes would leave no core for what is measured.
 */
export async function withPodEvents<T>(
  {
    proxy,
    nextEvent,
    perSecond,
  }: {
    readonly proxy: ApiProxy;
    readonly nextEvent: NextEvent;
    readonly perSecond: number;
  },
  run: () => Promise<T>,
): Promise<WhileEvents<T>> {
  const stop = new AbortController();
  const startMs = performance.now();
  let told = 0;
  const tell = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const due = ((performance.now() - startMs) / 1000) * perSecond;
      for (let left = due - told; left >= 1; left -= 1) told += proxy.addToWatches(nextEvent());
      await sleep(TURN_MS);
    }
  };
  const telling = tell();
  try {
    const result = await run();
    return { result, eventsPerSecond: told / ((performance.now() - startMs) / 1000) };
  } finally {
    stop.abort();
    await telling;
  }
}
