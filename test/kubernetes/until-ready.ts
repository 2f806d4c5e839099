import { setTimeout as sleep } from "node:timers/promises";
import { AppError, reasonOf } from "../../lib/errors.ts";
import type { SupervisedProcess } from "./supervised-process.ts";

const POLL_MS = 50;
/** Generous: a cold, busy machine takes many times the usual 2 seconds. */
const PATIENCE_MS = 120_000;

/**
 * Waits until a component answers that it is ready.
 *
 * @param isReady One question to it; that it throws means "not yet".
 * @throws AppError KUBERNETES_UNAVAILABLE with the end of its log, when it ends before or never answers.
 */
export async function untilReady(
  component: SupervisedProcess,
  isReady: () => Promise<boolean>,
): Promise<void> {
  let end: string | undefined;
  void component.ended.then((how) => (end = how));
  let answer = "not yet asked";
  for (const startMs = Date.now(); Date.now() - startMs < PATIENCE_MS; await sleep(POLL_MS)) {
    if (end !== undefined) throw await failure(component, `ended with ${end}`);
    try {
      if (await isReady()) return;
      answer = "not ready";
    } catch (err) {
      answer = reasonOf(err);
    }
  }
  throw await failure(component, `is not ready after ${PATIENCE_MS / 1000} s (${answer})`);
}

async function failure(component: SupervisedProcess, what: string): Promise<AppError> {
  const message = `Cannot start ${component.name}: it ${what}\n${await component.tail()}`;
  return new AppError("KUBERNETES_UNAVAILABLE", 500, message);
}
