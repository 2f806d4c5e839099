/** One RFC 6902 operation. Only "add" is ever needed. */
export interface AddOperation {
  readonly op: "add";
  /** An RFC 6901 pointer. */
  readonly path: string;
  readonly value: unknown;
}

/** Adds values to a list, or the list itself when it is not there. */
export function appendOperations(
  operations: AddOperation[],
  path: string,
  list: readonly unknown[] | null | undefined,
  values: readonly unknown[],
): void {
  if (values.length === 0) return;
  if (list === undefined || list === null) operations.push({ op: "add", path, value: values });
  else for (const value of values) operations.push({ op: "add", path: `${path}/-`, value });
}
