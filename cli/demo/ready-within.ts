import { AppError } from "../../lib/errors.ts";

/**
 * Waits until a part that was started is ready, and takes it down when it does not get there: nobody
 * else knows it yet.
 *
 * @param part.name What it is, in words of the error.
 * @returns what was started.
 * @throws AppError DEMO_FAILED after `timeoutMs`, or the error of `part.ready`
 */
export async function readyWithin<T extends AsyncDisposable>(
  timeoutMs: number,
  part: { readonly name: string; readonly started: T; readonly ready: Promise<void> },
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const message = `${part.name} is not ready after ${timeoutMs / 1000} s`;
    late.reject(new AppError("DEMO_FAILED", 500, message));
  }, timeoutMs);
  try {
    await Promise.race([part.ready, late.promise]);
    return part.started;
  } catch (err) {
    await part.started[Symbol.asyncDispose]();
    throw err;
  } finally {
    clearTimeout(timer);
  }
}
