import type { AddOperation } from "./add-operation.ts";

/**
 * A copy of an object with a patch applied: RFC 6902's `add`, as far as our own patches use it. No
 * two places of the object may be the same list, as YAML aliases make them.
 *
 * @throws TypeError when the patch is not for this object.
 */
export function applyOperations(object: unknown, operations: readonly AddOperation[]): unknown {
  const copy: unknown = structuredClone(object);
  for (const { path, value } of operations) {
    const keys = [...keysOf(path)];
    const last = keys.pop() ?? "";
    const parent = keys.reduce(childOf, copy);
    if (Array.isArray(parent)) {
      const index = last === "-" ? parent.length : Number(last);
      parent.splice(index, 0, structuredClone(value));
    } else {
      Object.assign(objectAt(parent, path), { [last]: structuredClone(value) });
    }
  }
  return copy;
}

/** The fields and indexes that an RFC 6901 pointer names, outermost first. */
export function keysOf(pointer: string): readonly string[] {
  return pointer
    .slice(1)
    .split("/")
    .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function childOf(node: unknown, key: string): unknown {
  return Object.entries(objectAt(node, key)).find(([name]) => name === key)?.[1];
}

function objectAt(node: unknown, path: string): object {
  if (typeof node === "object" && node !== null) return node;
  throw new TypeError(`Cannot patch at ${path}: expected an object or a list there`);
}
