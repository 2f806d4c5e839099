import { z } from "zod";
import { backoffMs } from "../lib/backoff.ts";
import type { Clock } from "../lib/clock.ts";
import { reasonOf } from "../lib/errors.ts";
import { refusalText } from "../lib/kube/api-status.ts";
import type { Transport } from "../lib/kube/transport.ts";
import type { Logger } from "../lib/log.ts";

export interface StartUpTaintOptions {
  readonly connection: Pick<Transport, "request">;
  readonly nodeName: string;
  /** Key of the taint; whatever its value and effects. */
  readonly key: string;
  /** Undefined when pods may come. */
  readonly notReadyBecause: () => string | undefined;
  readonly timeoutMs: number;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly clock: Pick<Clock, "sleep">;
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/** Between two looks at whether all is ready. */
const POLL_MS = 250;
const RETRY = { baseMs: 500, maxMs: 30_000 };

const Node = z.looseObject({
  spec: z.looseObject({
    taints: z.array(z.looseObject({ key: z.string(), effect: z.string() })).nullish(),
  }),
});
type Taints = NonNullable<z.infer<typeof Node>["spec"]["taints"]>;

/**
 * Takes a taint from this node once the shim is ready, so that no pod comes to a new node before:
 * its kubelet registers the node with it. It is done once, and tried until it is; resolves also,
 * without it, when `signal` aborts. Never rejects.
 */
export async function removeStartUpTaint(options: StartUpTaintOptions): Promise<void> {
  const { key, notReadyBecause, clock, random, log, signal } = options;
  for (let attempt = 0; !signal.aborted;) {
    if (notReadyBecause() !== undefined) {
      // oxlint-disable-next-line eslint/no-await-in-loop -- one look after the other
      await clock.sleep(POLL_MS, signal);
      continue;
    }
    // oxlint-disable-next-line eslint/no-await-in-loop -- one try after the other
    const problem = await tryToRemove(options).catch(reasonOf);
    if (problem === undefined) return;
    attempt += 1;
    log.warn({ taint: key, problem }, "Cannot take the taint from this node yet");
    // oxlint-disable-next-line eslint/no-await-in-loop -- one try after the other
    await clock.sleep(backoffMs(attempt, { ...RETRY, random: random() }), signal);
  }
}

/** @returns why it is still there. */
async function tryToRemove({
  connection,
  nodeName,
  key,
  timeoutMs,
  log,
  signal,
}: StartUpTaintOptions): Promise<string | undefined> {
  const path = `/api/v1/nodes/${encodeURIComponent(nodeName)}`;
  const found = await connection.request({ path, timeoutMs, signal });
  const node = Node.safeParse(found.body);
  if (found.status !== 200 || !node.success) return refusalText(found.status, found.body);
  const taints: Taints = node.data.spec.taints ?? [];
  const left = taints.filter((taint) => taint.key !== key);
  if (left.length === taints.length) return undefined;
  const patched = await connection.request({
    method: "PATCH",
    path,
    contentType: "application/json-patch+json",
    // Others change taints too, and must not lose theirs.
    body: JSON.stringify([
      { op: "test", path: "/spec/taints", value: taints },
      { op: "replace", path: "/spec/taints", value: left },
    ]),
    timeoutMs,
    signal,
  });
  if (patched.status !== 200) return refusalText(patched.status, patched.body);
  log.info({ taint: key, nodeName }, "Took the taint from this node");
  return undefined;
}
