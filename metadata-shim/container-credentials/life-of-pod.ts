import { LRUCache } from "lru-cache";
import { z } from "zod";
import type { Clock } from "../../lib/clock.ts";
import { reasonOf } from "../../lib/errors.ts";
import { FreshFlight } from "../../lib/fresh-flight.ts";
import { refusalText } from "../../lib/kube/api-status.ts";
import type { Transport } from "../../lib/kube/transport.ts";
import type { Soon } from "../../lib/soon.ts";
import type { BoundPod } from "./bound-pod.ts";

/** Whether the pod of a token is there to use it. */
export type PodLife =
  | { readonly status: "alive" }
  /** It is gone or finished, another pod has its name, or it runs on another node. */
  | { readonly status: "gone"; readonly problem: string }
  | { readonly status: "unavailable"; readonly problem: string };

export type LifeOfPod = (pod: BoundPod) => Soon<PodLife>;

/** As long as the API server itself keeps what it found of a token. */
const FRESH_MS = 10_000;
/** For so long a pod that was alive is taken for alive while the API server cannot be asked. */
const OUTAGE_MS = 10 * 60_000;
const MAX_REMEMBERED = 2048;

const ALIVE: PodLife = Object.freeze({ status: "alive" });
const FINISHED: ReadonlySet<unknown> = new Set(["Succeeded", "Failed"]);
const Pod = z.looseObject({
  metadata: z.looseObject({ uid: z.string() }),
  spec: z.looseObject({ nodeName: z.string().nullish() }),
  status: z.looseObject({ phase: z.string().nullish() }).nullish(),
});

/**
 * Makes the function that tells whether the pod of a token is alive on this node, by a read of that
 * pod: a token outlives its pod by up to a day. It knows pods on the host's network too.
 */
export function createLifeOfPod({
  connection,
  nodeName,
  timeoutMs,
  clock,
}: {
  readonly connection: Pick<Transport, "request">;
  readonly nodeName: string;
  readonly timeoutMs: number;
  readonly clock: Pick<Clock, "now">;
}): LifeOfPod {
  const seenAliveMs = new LRUCache<string, number>({ max: MAX_REMEMBERED });
  const reads = new FreshFlight<PodLife>();

  return (pod) => (isWithin(seenAliveMs.peek(pod.podUid), FRESH_MS) ? ALIVE : look(pod));

  async function look(pod: BoundPod): Promise<PodLife> {
    const { podUid } = pod;
    const life = await reads.run(podUid, () => read(pod));
    if (life.status === "alive") seenAliveMs.set(podUid, clock.now());
    if (life.status === "gone") seenAliveMs.delete(podUid);
    const wasAlive = isWithin(seenAliveMs.get(podUid), OUTAGE_MS);
    return life.status === "unavailable" && wasAlive ? ALIVE : life;
  }

  function isWithin(sinceMs: number | undefined, ms: number): boolean {
    const passedMs = clock.now() - (sinceMs ?? Number.NEGATIVE_INFINITY);
    // A clock that was set back makes it old.
    return passedMs >= 0 && passedMs < ms;
  }

  async function read(pod: BoundPod): Promise<PodLife> {
    const [namespace = "", name = ""] = [pod.namespace, pod.podName].map(encodeURIComponent);
    try {
      const path = `/api/v1/namespaces/${namespace}/pods/${name}`;
      const { status, body } = await connection.request({ path, timeoutMs });
      if (status === 404) return { status: "gone", problem: "its pod is gone" };
      const parsed = Pod.safeParse(body);
      if (status === 200 && parsed.success) return lifeOf(parsed.data, pod, nodeName);
      return { status: "unavailable", problem: refusalText(status, body) };
    } catch (err) {
      return { status: "unavailable", problem: reasonOf(err) };
    }
  }
}

function lifeOf(found: z.infer<typeof Pod>, pod: BoundPod, nodeName: string): PodLife {
  const { metadata, spec, status } = found;
  if (metadata.uid !== pod.podUid) {
    return { status: "gone", problem: "another pod has the name of its pod" };
  }
  if (spec.nodeName !== nodeName) {
    return { status: "gone", problem: "its pod runs on another node" };
  }
  if (FINISHED.has(status?.phase)) return { status: "gone", problem: "its pod has finished" };
  return ALIVE;
}
