/** A signal that aborts on its own after a while; disposing it takes its timer and listener away. */
export interface Deadline extends Disposable {
  readonly signal: AbortSignal;
  /** The time no longer counts; the caller's signal still does. */
  stopTimer(): void;
}

/**
 * A signal that aborts after `timeoutMs`, and as soon as `signal` does. The abort reason is an error
 * whose message says which.
 */
export function deadline(timeoutMs: number, signal?: AbortSignal): Deadline {
  const controller = new AbortController();
  const cancel = (): void => controller.abort(new Error("cancelled"));
  const timer = setTimeout(
    () => controller.abort(new Error(`no answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted === true) cancel();
  return {
    signal: controller.signal,
    stopTimer: () => clearTimeout(timer),
    [Symbol.dispose]() {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
    },
  };
}

/** The outcome of `work`, or the abort reason of `signal` when that comes first. */
export async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) {
    // It is under way, and nobody will look at how it ends: a failure must not end the program.
    work.catch(() => {});
    throw signal.reason;
  }
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
