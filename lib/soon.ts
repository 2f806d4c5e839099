/** What is there, or will be: for answers that mostly need no wait, whose promises would cost as much. */
export type Soon<T> = T | Promise<T>;

/** Goes on with a value, at once when it is there. */
export function whenThere<T, R>(value: Soon<T>, goOn: (value: T) => Soon<R>): Soon<R> {
  return value instanceof Promise ? value.then(goOn) : goOn(value);
}
