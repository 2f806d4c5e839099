/**
 * Makes a function that makes something of an object once, and gives the same again for as long as the
 * object is there: for what is asked for again and again of a thing that does not change.
 *
 * @param make What is beside the object must be the same whenever the object is.
 */
export function onceFor<K extends object, V, A extends readonly unknown[]>(
  make: (key: K, ...rest: A) => V,
): (key: K, ...rest: A) => V {
  const made = new WeakMap<K, { readonly value: V }>();
  return (key, ...rest) => {
    const known = made.get(key);
    if (known !== undefined) return known.value;
    const value = make(key, ...rest);
    made.set(key, { value });
    return value;
  };
}
