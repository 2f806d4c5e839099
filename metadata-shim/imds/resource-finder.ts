import { LRUCache } from "lru-cache";
import type { MetadataTree, Resource } from "./metadata-tree.ts";
import { parseRequestPath } from "./request-path.ts";

/** Finds what a request target stands for; undefined for nothing. */
export type FindResource = (target: string) => Resource | undefined;

/** All that a node's pods ask for: a few paths, and the names of their roles. */
const MAX_TARGETS = 512;
/** Longer than any of those; a longer one is read each time. */
const MAX_LENGTH = 256;

const NOTHING = { resource: undefined };

/** Makes the function that finds it, which remembers what it found last: it is always the same. */
export function createResourceFinder(tree: MetadataTree): FindResource {
  const found = new LRUCache<string, { readonly resource: Resource | undefined }>({
    max: MAX_TARGETS,
  });

  function read(target: string): Resource | undefined {
    const path = parseRequestPath(target);
    return path === undefined ? undefined : tree(path);
  }

  return (target) => {
    if (target.length > MAX_LENGTH) return read(target);
    // Not `get`, which takes longer to note the use than to find it: what is dropped is read again.
    const known = found.peek(target);
    if (known !== undefined) return known.resource;
    const resource = read(target);
    found.set(target, resource === undefined ? NOTHING : { resource });
    return resource;
  };
}
