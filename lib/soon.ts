/** What is there, or will be: for answers that mostly need no wait, whose promises would cost as much. */
export type Soon<T> = T | Promise<T>;

/** Uses a value, at once when it is there. */
export function whenThere<T, R>(value: Soon<T>, use: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(use) : use(value);
}

/** Hands on what is made, at once when it is there, or what went wrong in the making. */
export function settle<T>(
  make: () => Soon<T>,
  use: (value: T) => void,
  fail: (err: unknown) => void,
): void {
  let value: Soon<T>;
  try {
    value = make();
  } catch (err) {
    fail(err);
    return;
  }
  if (value instanceof Promise) value.then(use, fail);
  else use(value);
}
